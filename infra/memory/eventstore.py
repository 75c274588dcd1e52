"""The event log in memory: the twin of the one in PostgreSQL, for fast tests.

It keeps the stored form, boxes and all, so that what is read back is as sealed as from the database.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from domain.model import Erased, Event
from services.ports import (
    Clock,
    CommandContext,
    CommandReused,
    Commit,
    DataKey,
    History,
    KeyName,
    KeyRing,
    Outcome,
    Recorded,
    Refused,
    Unavailable,
    VersionConflict,
)


class SealingMapper(Protocol):
    """What maps events to their stored form and back, such as `infra.eventstore.mapper.EventMapper`."""

    def envelop(self, commit: Commit, recorded_at: datetime) -> list[Recorded]: ...

    def needs(self, recorded: Recorded) -> Iterable[KeyName]: ...

    def to_stored_event(
        self, recorded: Recorded, keys: Mapping[KeyName, DataKey | Erased] = ...
    ) -> StoredEvent: ...

    def to_decide_on(self, stored_events: Iterable[StoredEvent]) -> list[Event]: ...


class MemoryEventStore:
    """Implements `services.ports.EventStore` and `LogReader`. Nothing is final later than it is stored."""

    def __init__(self, mapper: SealingMapper, ring: KeyRing, clock: Clock) -> None:
        self._mapper = mapper
        self._ring = ring
        self._clock = clock
        self._log: list[Notification] = []
        self._versions: set[tuple[UUID, int]] = set()
        self._answers: dict[UUID, tuple[bytes, Outcome]] = {}
        self._turn = asyncio.Lock()
        self._grown = asyncio.Condition()

    @property
    def fence_wait_seconds(self) -> float:
        """There is no fence."""
        return 0.0

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        stored = [it for it in await self.events_of(originator_id) if it.originator_version > after]
        if not stored:
            return History([], 0)
        return History(self._mapper.to_decide_on(stored), stored[-1].id, stored[-1].state)

    async def append(self, commit: Commit) -> Outcome:
        async with self._turn:
            if (first := await self.outcome_of(commit.context)) is not None:
                return first
            claims = {(event.originator_id, event.originator_version) for event in commit.events}
            if claims & self._versions:
                raise VersionConflict(commit.id)
            recorded = self._mapper.envelop(commit, self._clock.now())
            names = {name for it in recorded for name in self._mapper.needs(it)}
            keys = await self._ring.provide(names, within=None)
            outcome = self._store([self._mapper.to_stored_event(it, keys) for it in recorded], commit)
            self._versions |= claims
        async with self._grown:
            self._grown.notify_all()
        return outcome

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome | Refused | Unavailable]:
        answers: list[Outcome | Refused | Unavailable] = []
        for it in await asyncio.gather(*map(self.append, commits), return_exceptions=True):
            if not isinstance(it, Outcome | Refused | Unavailable):
                raise it
            answers.append(it)
        return answers

    def _store(self, stored: Sequence[StoredEvent], commit: Commit) -> Outcome:
        for it in stored:
            self._log.append(Notification(**vars(it), id=len(self._log) + 1))
        outcome = Outcome(
            commit.id,
            commit.subject_id,
            stored[-1].originator_version if stored else commit.version,
            len(self._log) if stored else commit.position,
        )
        self._answers[commit.context.command_id] = (commit.context.request_digest, outcome)
        return outcome

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        if context.command_id not in self._answers:
            return None
        digest, outcome = self._answers[context.command_id]
        if digest != context.request_digest:
            raise CommandReused(context.command_id)
        return replace(outcome, repeated=True)

    async def read(self, after: int, limit: int) -> Sequence[Notification]:
        return self._log[after : after + limit]

    async def wait(self, after: int, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout), self._grown:
                await self._grown.wait_for(lambda: len(self._log) > after)
        except TimeoutError:
            return False
        return True

    async def horizon(self) -> int:
        return len(self._log)

    async def end(self) -> int:
        return len(self._log)

    async def events_of(self, originator_id: UUID) -> Sequence[Notification]:
        """All events of one aggregate, in order."""
        return [it for it in self._log if it.originator_id == originator_id]

    async def between(self, ranges: Sequence[tuple[UUID, int, int]]) -> Sequence[Notification]:
        """The events of records, each with its versions above the first number up to the second, in order."""
        return [
            it
            for id, low, high in sorted(ranges)
            for it in self._log
            if it.originator_id == id and low < it.originator_version <= high
        ]

    async def at_versions(self, record_id: UUID, versions: Sequence[int]) -> Sequence[Notification]:
        """The record's events of these versions, in order."""
        wanted = set(versions)
        return [it for it in await self.events_of(record_id) if it.originator_version in wanted]

    async def of_topics(
        self, topics: Sequence[str], after: int, until: int, limit: int
    ) -> Sequence[Notification]:
        """The events of these topics in these positions, in order."""
        return [it for it in self._log[after:until] if it.topic in topics][:limit]

    async def milestones(self, after: int, until: int, limit: int) -> Sequence[tuple[UUID, int, str, int]]:
        """The records with an event at every 256th version in these positions: which, the last such version,
        a topic of theirs, and its position."""
        page = [it for it in self._log[after:until] if it.originator_version % 256 == 0][:limit]
        last = {it.originator_id: it for it in page}
        found = [(_uuid(id), it.originator_version, it.topic, it.id) for id, it in last.items()]
        return sorted(found, key=lambda it: it[3])

    async def at_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions, in order; those that there are."""
        return [self._log[position - 1] for position in sorted(positions) if 0 < position <= len(self._log)]


def _uuid(id: UUID | str) -> UUID:
    """The library's events may be named by texts; ours never are."""
    assert isinstance(id, UUID)  # noqa: S101
    return id
