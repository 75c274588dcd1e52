"""Erasing a person: a saga that may be killed between any two of its steps, and converges."""

import asyncio
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID, uuid5

from domain.erasure.aggregate import Erasure
from domain.erasure.events import ErasureRequested, SubjectErased
from domain.model import Category
from domain.values import ErasureGround
from services.application import Application
from services.ports import (
    NOTHING_STANDS,
    CommandContext,
    IndexPurger,
    KeyName,
    KeyShredder,
    Outcome,
    Recorded,
    RecordNotFound,
    Refused,
    Shredded,
    Standing,
    SubjectIsHeld,
)


class SubjectNotFound(Refused):
    """Nothing is known of such a data subject."""


class WhenHeld(StrEnum):
    """What becomes of a request to erase somebody whom a legal hold names."""

    REFUSE = "refuse"
    QUEUE = "queue"
    """It is recorded, and carried out once the hold is lifted."""


class SubjectRegister(Protocol):
    """Knows who there is."""

    async def knows(self, subject_id: UUID) -> bool:
        """Whether anything was ever recorded of the subject, erased or not."""
        ...


class ErasureJournal(Protocol):
    """The log's requests for erasure."""

    async def request(self, erasure_id: UUID) -> Recorded | None:
        """The durable request, if there is one."""
        ...

    async def unfinished(self) -> Sequence[Recorded]:
        """The requests whose subject is not recorded as erased yet, oldest first."""
        ...

    async def unsealed(self) -> Sequence[Recorded]:
        """`SubjectErased` of the erasures that are not sealed, oldest first."""
        ...


class EraserKeyRing(KeyShredder, Protocol):
    """A key ring that destroys keys, says what stands against it, and what old copies of it still hold."""

    async def unsealed(self, subject_ids: Collection[UUID]) -> Set[KeyName]:
        """Erased keys that an older copy of the key store may still hold under a KEK that exists."""
        ...

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """What has to be heeded about the subjects; absent where `NOTHING_STANDS`."""
        ...


class ErasureLedger(Protocol):
    """The list of erasures outside the database, so that an old copy of the database cannot undo one."""

    async def enter(self, request: Recorded) -> str:
        """Enter the erasure, durably, and answer with the entry's hash. Entered already: that one's."""
        ...

    async def retract(self, request: Recorded) -> None:
        """The erasure was not carried out after all: a hold was faster. It may be entered again."""
        ...


@dataclass(frozen=True, slots=True)
class Erasing:
    """How far an erasure has come: carried out, or `held`, to be carried out once the hold is lifted."""

    outcome: Outcome
    held: bool


class Erasures:
    """Requests erasures and carries them out. The steps, each of which may be repeated:

    1. `ErasureRequested` in the log, durable before anything is destroyed. Under a legal hold it is refused,
       or recorded and left until the hold is lifted (`ErasureHeld`).
    2. The entry in the ledger outside the database, durable before anything is destroyed.
    3. The fence and the end of the keys, in one transaction: nothing is sealed for the subject after it, and
       no stored byte opens any more. A hold that came meanwhile still stops it here.
    4. The blind index rows go; indexes in memory follow the log and drop what the key ring calls erased.
    5. `SubjectErased` in the log, and so on Kafka. Subscribers' acknowledgements, the certificate and
       `ErasureSealed` follow from it.

    A crash after step 1 leaves an unfinished request, which `resume` carries on with.
    """

    def __init__(
        self,
        application: Application,
        *,
        shredder: EraserKeyRing,
        purger: IndexPurger,
        subjects: SubjectRegister,
        journal: ErasureJournal,
        ledger: ErasureLedger,
    ) -> None:
        self._application = application
        self._shredder = shredder
        self._purger = purger
        self._subjects = subjects
        self._journal = journal
        self._ledger = ledger
        self._held: set[UUID] = set()

    async def erase(
        self,
        *,
        id: UUID,
        erased_subject_id: UUID,
        ground: ErasureGround,
        context: CommandContext,
        categories: Collection[Category] = (),
        when_held: WhenHeld = WhenHeld.REFUSE,
    ) -> Erasing:
        """All the steps. Raises `SubjectNotFound`, and `SubjectIsHeld` unless it is to be queued."""
        asked = await self.request(
            id=id,
            erased_subject_id=erased_subject_id,
            ground=ground,
            context=context,
            categories=categories,
            when_held=when_held,
        )
        return await self._carry_out(await self._requested(asked.id))

    async def request(
        self,
        *,
        id: UUID,
        erased_subject_id: UUID,
        ground: ErasureGround,
        context: CommandContext,
        categories: Collection[Category] = (),
        when_held: WhenHeld = WhenHeld.REFUSE,
    ) -> Outcome:
        """Step 1: of the named categories, or of everything.

        Raises `SubjectNotFound`, and `SubjectIsHeld` unless it is to be queued. Who is erased already may be
        erased again: it changes nothing.
        """
        if not await self._subjects.knows(erased_subject_id):
            raise SubjectNotFound(erased_subject_id)
        if when_held is WhenHeld.REFUSE and await self._is_held(erased_subject_id, frozenset(categories)):
            # The hold may be younger than this very request.
            if (first := await self._application.store.outcome_of(context)) is not None:
                return first
            raise SubjectIsHeld(erased_subject_id)
        return await self._application.create(
            lambda: Erasure.request(
                id=id, erased_subject_id=erased_subject_id, ground=ground, categories=categories
            ),
            context=context,
        )

    async def run(self, erasure_id: UUID) -> Outcome:
        """The other steps. Raises `RecordNotFound` unless the request is in the log: no key goes without one.

        Raises `SubjectIsHeld` while a hold stands against it; it is queued then.
        """
        request = await self._requested(erasure_id)
        done = await self._carry_out(request)
        if done.held:
            raise SubjectIsHeld(_asked(request).erased_subject_id)
        return done.outcome

    async def repeat(
        self,
        *,
        id: UUID,
        erased_subject_id: UUID,
        ground: ErasureGround,
        categories: Collection[Category],
        context: CommandContext,
        erased_at: datetime,
    ) -> Outcome:
        """Carry out again what an older database does not know of any more, though the ledger does.

        Recorded as it was then: requested when the `context` says so, and carried out `erased_at`. Also of
        somebody whom the older database never knew. Raises `SubjectIsHeld`.
        """
        if await self._journal.request(id) is None:
            await self._application.create(
                lambda: Erasure.request(
                    id=id, erased_subject_id=erased_subject_id, ground=ground, categories=categories
                ),
                context=context,
            )
        done = await self._carry_out(await self._requested(id), erased_at)
        if done.held:
            raise SubjectIsHeld(erased_subject_id)
        return done.outcome

    async def resume(self) -> int:
        """Finish what a crash or an outage left, or a hold that is lifted now; how many were finished.

        One that fails keeps none of the others waiting; the failures are raised together at the end.
        """
        requests = [it for it in await self._journal.unfinished() if await self._may_go_on(it)]
        results = await asyncio.gather(*map(self._carry_out, requests), return_exceptions=True)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise ExceptionGroup("erasures that could not be finished", failures)
        return sum(isinstance(it, Erasing) and not it.held for it in results)

    async def acknowledge(
        self, *, id: UUID, subscriber: str, context: CommandContext, expected_version: int | None = None
    ) -> Outcome:
        """A subscriber of the stream has erased its own copies. Raises `ErasureNotCarriedOut`."""
        return await self._application.change(
            Erasure,
            id,
            lambda erasure: erasure.acknowledge(subscriber=subscriber),
            context=context,
            expected_version=expected_version,
        )

    async def seal(self, *, epoch: int, kek_id: str) -> int:
        """The KEKs from before this epoch are destroyed: record it on each erasure that it seals; how many.

        A later one seals those of which an older copy may still hold a key under a KEK that exists.
        """
        erased = {it: _done(it) for it in await self._journal.unsealed()}
        still = await self._shredder.unsealed({it.erased_subject_id for it in erased.values()})
        sealed = [it for it, event in erased.items() if not _names(event, still)]
        for recorded in sealed:
            await self._application.change(
                Erasure,
                recorded.originator_id,
                lambda erasure: erasure.seal(epoch=epoch, kek_id=kek_id),
                context=self._following(recorded, "seal"),
            )
        return len(sealed)

    async def _requested(self, erasure_id: UUID) -> Recorded:
        request = await self._journal.request(erasure_id)
        if request is None:
            raise RecordNotFound(erasure_id)
        return request

    async def _carry_out(self, request: Recorded, erased_at: datetime | None = None) -> Erasing:
        event = _asked(request)
        subject_id, categories = event.erased_subject_id, frozenset(event.categories)
        if await self._is_held(subject_id, categories):
            return await self._hold(request)
        ledger_hash = await self._ledger.enter(request)
        try:
            shredded = await self._shredder.shred(subject_id, categories)
        except SubjectIsHeld:
            await self._ledger.retract(request)
            return await self._hold(request)
        if not categories or Category.CONTACT in categories:
            await self._purger.purge(subject_id)
        self._held.discard(request.originator_id)
        return Erasing(await self._complete(request, shredded, ledger_hash, erased_at), held=False)

    async def _is_held(self, subject_id: UUID, categories: frozenset[Category]) -> bool:
        """Whether a hold stands against it. What is destroyed already no hold protects any more."""
        standings = await self._shredder.standings([subject_id])
        standing = standings.get(subject_id, NOTHING_STANDS)
        return standing.held and not standing.has_lost(categories)

    async def _may_go_on(self, request: Recorded) -> bool:
        """False for one that is known to be held, and still is."""
        event = _asked(request)
        return request.originator_id not in self._held or not await self._is_held(
            event.erased_subject_id, frozenset(event.categories)
        )

    async def _hold(self, request: Recorded) -> Erasing:
        outcome = await self._application.change(
            Erasure,
            request.originator_id,
            lambda erasure: erasure.hold(),
            context=self._following(request, "hold"),
        )
        self._held.add(request.originator_id)
        return Erasing(outcome, held=True)

    async def _complete(
        self, request: Recorded, shredded: Shredded, ledger_hash: str, erased_at: datetime | None
    ) -> Outcome:
        fingerprints = tuple(shredded.fingerprints.values())
        return await self._application.change(
            Erasure,
            request.originator_id,
            lambda erasure: erasure.complete(fingerprints=fingerprints, ledger_hash=ledger_hash),
            context=self._following(request, "complete", erased_at),
        )

    def _following(self, cause: Recorded, step: str, occurred_at: datetime | None = None) -> CommandContext:
        """The same command each time, so that two processes which take one step record it once."""
        return CommandContext(
            command_id=uuid5(cause.envelope.event_id, step),
            request_digest=cause.originator_id.bytes,
            actor=cause.envelope.actor,
            occurred_at=occurred_at or self._application.clock.now(),
            correlation_id=cause.envelope.correlation_id,
            causation_id=cause.envelope.event_id,
        )


def _done(recorded: Recorded) -> SubjectErased:
    assert isinstance(recorded.event, SubjectErased)  # noqa: S101 - the journal holds nothing else
    return recorded.event


def _names(event: SubjectErased, keys: Set[KeyName]) -> bool:
    return any((event.erased_subject_id, it) in keys for it in Category if event.covers(it))


def _asked(request: Recorded) -> ErasureRequested:
    event = request.event
    assert isinstance(event, ErasureRequested)  # noqa: S101 - the journal holds nothing else
    return event
