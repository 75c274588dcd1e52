"""What can be asked of privacy requests; fulfilling one to erase is a saga that goes on by itself."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date
from typing import Unpack
from uuid import UUID, uuid5

from domain.model import Category
from domain.privacyrequest.aggregate import PrivacyRequest
from domain.privacyrequest.terms import (
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
    RequestState,
)
from domain.values import Channel, ErasureGround
from services.application import Application, Target, replay
from services.erasures import Erasures, SubjectNotFound, SubjectRegister, WhenHeld
from services.ports import CommandContext, Ground, Outcome, RecordNotFound

SCHEDULER = "lethe-scheduler"


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """What came of fulfilling: `held`, the erasure waits for a legal hold, and the request with it."""

    outcome: Outcome
    state: RequestState
    erasure_id: UUID | None = None
    held: bool = False


class PrivacyRequests:
    """Commands to privacy requests: what serves a person's rights, no restriction of processing stops.

    Fulfilling a request to erase: 1. the erasure is begun, in the log; 2. the erasure's own saga; 3. the
    request is fulfilled. A crash, or a legal hold, after step 1 leaves it to `carry_on`.
    """

    def __init__(self, application: Application, *, erasures: Erasures, subjects: SubjectRegister) -> None:
        self._application = application
        self._erasures = erasures
        self._subjects = subjects

    async def receive(
        self,
        *,
        id: UUID,
        subject_id: UUID,
        context: CommandContext,
        kind: RequestKind,
        channel: Channel,
        received_on: date,
        text: str | None = None,
        known: bool = True,
    ) -> Outcome:
        """Raises `SubjectNotFound` for a subject who should be `known` and is not."""
        if known and not await self._subjects.knows(subject_id):
            raise SubjectNotFound(subject_id)
        return await self._application.create(
            lambda: PrivacyRequest.receive(
                id=id, subject_id=subject_id, kind=kind, channel=channel, received_on=received_on, text=text
            ),
            context=_by_right(context),
        )

    async def verify_identity(self, *, proof: IdentityProof, **to: Unpack[Target]) -> Outcome:
        return await self._change(lambda request: request.verify_identity(proof=proof), **to)

    async def extend(self, *, months: int, ground: ExtensionGround, **to: Unpack[Target]) -> Outcome:
        at = to["context"].occurred_at
        return await self._change(lambda request: request.extend(months=months, ground=ground, at=at), **to)

    async def link_dossier(self, *, dossier_id: UUID, **to: Unpack[Target]) -> Outcome:
        return await self._change(lambda request: request.link_dossier(dossier_id=dossier_id), **to)

    async def check_answerable(self, id: UUID, *, subject_id: UUID) -> None:
        """Raises `RecordNotFound` where it is no request of this person, and what `link_dossier` would."""
        request = await self._load(id)
        if request.subject_id != subject_id:
            raise RecordNotFound(id)
        request.check_answerable()

    async def refuse(self, *, ground: RefusalGround, **to: Unpack[Target]) -> Outcome:
        return await self._change(lambda request: request.refuse(ground=ground), **to)

    async def withdraw(self, **to: Unpack[Target]) -> Outcome:
        return await self._change(lambda request: request.withdraw(), **to)

    async def remind(self, *, id: UUID, notice: Notice, due_on: date) -> Outcome:
        """Once for each deadline, however often and from wherever it is called."""
        return await self._change(
            lambda request: request.remind(notice=notice, due_on=due_on),
            id=id,
            context=self._following(id, f"remind {notice} {due_on}"),
        )

    async def fulfil(
        self,
        *,
        ground: ErasureGround | None = None,
        categories: Collection[Category] = (),
        export_id: UUID | None = None,
        record_ids: Collection[UUID] = (),
        **to: Unpack[Target],
    ) -> Fulfilment:
        """What was asked is done; an erasure that was asked for is carried out, or waits for a legal hold."""
        outcome = await self._change(
            lambda request: request.fulfil(
                ground=ground, categories=categories, export_id=export_id, record_ids=record_ids
            ),
            **to,
        )
        return await self._carry_on(outcome, to["context"])

    async def carry_on(self, id: UUID) -> Fulfilment:
        """Take the steps that are left of an erasure that was begun. May be repeated."""
        history = await self._application.store.load(id)
        request = replay(PrivacyRequest, id, history.events)
        outcome = Outcome(id, request.subject_id, request.version, history.position)
        return await self._carry_on(outcome, self._following(id, "carry on"))

    async def _carry_on(self, outcome: Outcome, cause: CommandContext) -> Fulfilment:
        request = await self._load(outcome.id)
        if request.erasure is None or request.state is not RequestState.OPEN:
            return Fulfilment(outcome, request.state, request.erasure_id)
        erasing = await self._erasures.erase(
            id=request.erasure.erasure_id,
            erased_subject_id=request.subject_id,
            ground=request.erasure.ground,
            categories=request.erasure.categories,
            when_held=WhenHeld.QUEUE,
            context=self._following(request.id, "erase", cause),
        )
        if erasing.held:
            return Fulfilment(outcome, request.state, request.erasure_id, held=True)
        erasure_id = request.erasure.erasure_id
        done = await self._change(
            lambda request: request.erased(erasure_id=erasure_id),
            id=request.id,
            context=self._following(request.id, "erased", cause),
        )
        return Fulfilment(done, RequestState.FULFILLED, erasure_id)

    async def _load(self, id: UUID) -> PrivacyRequest:
        return replay(PrivacyRequest, id, (await self._application.store.load(id)).events)

    async def _change(self, decide: Callable[[PrivacyRequest], None], **to: Unpack[Target]) -> Outcome:
        to["context"] = _by_right(to["context"])
        return await self._application.change(PrivacyRequest, decide=decide, **to)

    def _following(self, id: UUID, step: str, cause: CommandContext | None = None) -> CommandContext:
        """The same command each time, so that two processes which take one step record it once."""
        command_id = uuid5(id, step)
        return CommandContext(
            command_id=command_id,
            request_digest=id.bytes,
            actor=cause.actor if cause is not None else SCHEDULER,
            occurred_at=self._application.clock.now(),
            correlation_id=cause.correlation_id if cause is not None else command_id,
        )


def _by_right(context: CommandContext) -> CommandContext:
    return replace(context, ground=context.ground or Ground.SUBJECT_RIGHTS)
