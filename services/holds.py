"""Legal holds: a saga of two steps that may be repeated, so that no erasure passes a hold that was answered.

1. The fact in the log. 2. The mark beside the person's keys, under whose lock an erasure asks for it. A crash
between the two leaves a fact without its mark: `on` follows the log and sets it.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Unpack
from uuid import UUID, uuid5

from domain.hold.aggregate import Hold
from domain.hold.events import SubjectCovered, SubjectReleased
from services.application import Application, Target, replay
from services.erasures import SubjectNotFound, SubjectRegister
from services.ports import CommandContext, KeyRing, Outcome, Recorded, SubjectIsErased, SubjectMarks


class Holds:
    """Places holds, covers people by them, and releases them. Queued erasures go on once nothing holds."""

    causes = frozenset({SubjectCovered.TOPIC, SubjectReleased.TOPIC})

    def __init__(
        self, application: Application, *, marks: SubjectMarks, ring: KeyRing, subjects: SubjectRegister
    ) -> None:
        self._application = application
        self._marks = marks
        self._ring = ring
        self._subjects = subjects

    async def place(
        self,
        *,
        id: UUID,
        matter: str,
        context: CommandContext,
        description: str | None = None,
        subject_ids: Collection[UUID] = (),
    ) -> Outcome:
        """Raises `SubjectNotFound` or `SubjectIsErased`; then there is no hold."""
        await self._check(subject_ids)

        def placed() -> Hold:
            hold = Hold.place(id=id, matter=matter, description=description)
            hold.cover(subject_ids=subject_ids)
            return hold

        outcome = await self._application.create(placed, context=context)
        # By the outcome's id: a repeated command has made its hold before, under another id than this one.
        await self._mark(outcome.id, subject_ids, context)
        return outcome

    async def cover(self, *, subject_ids: Collection[UUID], **to: Unpack[Target]) -> Outcome:
        """Raises `SubjectNotFound` or `SubjectIsErased`; then nobody new is covered."""
        await self._check(subject_ids)
        outcome = await self._application.change(
            Hold, decide=lambda hold: hold.cover(subject_ids=subject_ids), **to
        )
        if erased := await self._mark(outcome.id, subject_ids, to["context"]):
            raise SubjectIsErased(erased[0])
        return outcome

    async def release(self, *, subject_ids: Collection[UUID], **to: Unpack[Target]) -> Outcome:
        outcome = await self._application.change(
            Hold, decide=lambda hold: hold.release(subject_ids=subject_ids), **to
        )
        for subject_id in subject_ids:
            await self._marks.release(outcome.id, subject_id)
        return outcome

    async def lift(self, **to: Unpack[Target]) -> Outcome:
        """Everybody is released, and the erasures that the hold kept waiting go on."""
        outcome = await self._application.change(Hold, decide=Hold.lift, **to)
        events = (await self._application.store.load(outcome.id)).events
        for subject_id in sorted(replay(Hold, outcome.id, events).released):
            await self._marks.release(outcome.id, subject_id)
        return outcome

    async def on(self, recorded: Recorded) -> None:
        """Set the mark that the fact asks for, unless a later fact has taken it back."""
        match recorded.event:
            case SubjectCovered(covered_subject_id=subject_id):
                await self._mark(recorded.originator_id, [subject_id], _because_of(recorded))
            case SubjectReleased(covered_subject_id=subject_id):
                await self._marks.release(recorded.originator_id, subject_id)

    async def _check(self, subject_ids: Collection[UUID]) -> None:
        for subject_id in subject_ids:
            if not await self._subjects.knows(subject_id):
                raise SubjectNotFound(subject_id)
        for subject_id, standing in (await self._ring.standings(subject_ids)).items():
            if standing.erased:
                raise SubjectIsErased(subject_id)

    async def _mark(self, id: UUID, subject_ids: Collection[UUID], context: CommandContext) -> list[UUID]:
        """Those who were erased in the meantime: there is nothing of theirs to hold, so they are released."""
        erased = [it for it in subject_ids if not await self._marks.hold(id, it)]
        if erased:
            await self._application.change(
                Hold,
                id,
                lambda hold: hold.release(subject_ids=erased),
                context=replace(context, command_id=uuid5(context.command_id, "erased"), reason=None),
            )
        # Looked at after the marks are set: a repeat of what was released since must leave no mark behind.
        covered = replay(Hold, id, (await self._application.store.load(id)).events).covered
        for subject_id in set(subject_ids) - covered:
            await self._marks.release(id, subject_id)
        return erased


def _because_of(cause: Recorded) -> CommandContext:
    return CommandContext(
        command_id=cause.envelope.event_id,
        request_digest=b"",
        actor=cause.envelope.actor,
        occurred_at=cause.event.timestamp,
        correlation_id=cause.envelope.correlation_id,
        causation_id=cause.envelope.event_id,
    )
