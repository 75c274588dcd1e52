"""What the tests of the event log share: a whole log on either adapter, and commits to store in it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import Notification
from uuid_utils.compat import uuid7

from domain.customer.events import CustomerArchived, CustomerNoteWritten, CustomerRegistered
from domain.model import Event
from domain.values import CustomerKind, LawfulBasis
from infra.eventstore.appender import Appender
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.eventstore.store import PostgresEventStore
from infra.memory.eventstore import MemoryEventStore
from infra.memory.keyring import MemoryKeyRing
from infra.postgres.database import Pool, open_pool
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.keystore import open_key_ring
from services.ports import CommandContext, Commit, Recorded

NAMESPACE = "main"
START = datetime(2026, 3, 1, 9, tzinfo=UTC)


@dataclass
class SteppingClock:
    """Each look at it is a second later."""

    moment: datetime = START

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


@dataclass(frozen=True)
class MemoryLog:
    """The in-memory twin with what it is made of."""

    mapper: EventMapper
    ring: MemoryKeyRing
    store: MemoryEventStore
    reader: MemoryEventStore


@dataclass(frozen=True)
class PostgresLog:
    """The log in PostgreSQL with what it is made of."""

    mapper: EventMapper
    ring: PostgresKeyRing
    store: PostgresEventStore
    reader: FencedReader
    pool: Pool
    appender: Appender


Log = MemoryLog | PostgresLog


def memory_log() -> MemoryLog:
    mapper, ring = EventMapper(NAMESPACE), MemoryKeyRing()
    store = MemoryEventStore(mapper, ring, SteppingClock())
    return MemoryLog(mapper, ring, store, store)


@asynccontextmanager
async def postgres_log(
    url: str, folder: Path, *, size: int = 4, **settings: Any
) -> AsyncIterator[PostgresLog]:
    """A log as one process has it. Several may share a database and a folder (where the KEK is)."""
    pool = await open_pool(url, size=size)
    try:
        ring = await open_key_ring(pool, kek_reference=f"file:{folder / 'kek'}", namespace=NAMESPACE)
        mapper, reader = EventMapper(NAMESPACE), FencedReader(pool)
        appender = Appender(pool, mapper, ring, SteppingClock(), stored=reader.wake, **settings)
        yield PostgresLog(mapper, ring, PostgresEventStore(pool, mapper, appender), reader, pool, appender)
        await appender.close()
    finally:
        await pool.close()


def context(**given: Any) -> CommandContext:
    usual: dict[str, Any] = {
        "command_id": uuid4(),
        "request_digest": b"a digest",
        "actor": str(UUID(int=7)),
        "occurred_at": START,
        "correlation_id": uuid4(),
    }
    return CommandContext(**usual | given)


@dataclass(frozen=True)
class Person:
    """A customer, and the facts that can be told of them."""

    id: UUID = field(default_factory=uuid7)
    subject_id: UUID = field(default_factory=uuid7)

    def _base(self, version: int) -> dict[str, Any]:
        return {
            "originator_id": self.id,
            "originator_version": version,
            "timestamp": START,
            "subject_id": self.subject_id,
        }

    def registered(self, name: str | None = "Ada Lovelace", email: str | None = "ada@example.org") -> Event:
        return CustomerRegistered(
            originator_topic="customer",
            kind=CustomerKind.PERSON,
            source="web",
            lawful_basis=LawfulBasis.CONTRACT,
            purpose="support",
            name=name,
            email=email,
            **self._base(1),
        )

    def noted(self, version: int, text: str = "Prefers tea.") -> Event:
        return CustomerNoteWritten(text=text, **self._base(version))

    def archived(self, version: int) -> Event:
        return CustomerArchived(**self._base(version))

    def commit(self, *events: Event, version: int = 0, position: int = 0, **given: Any) -> Commit:
        return Commit(context(**given), self.id, self.subject_id, events, version, position)


def registrations(count: int) -> list[Commit]:
    people = [Person() for _ in range(count)]
    return [person.commit(person.registered()) for person in people]


async def append_all(log: Log, commits: Iterable[Commit], *, writers: int = 32) -> None:
    waiting = iter(commits)

    async def writer() -> None:
        for commit in waiting:
            await log.store.append(commit)

    await asyncio.gather(*(writer() for _ in range(writers)))


async def read_all(log: Log, after: int = 0, limit: int = 1000) -> list[Notification]:
    """Everything below the fence."""
    horizon, found = await log.reader.horizon(), list[Notification]()
    while page := await log.reader.read(after, limit):
        found += page
        after = page[-1].id
        if after >= horizon:
            break
    return found


def mapped(log: Log, notifications: Sequence[Notification]) -> list[Recorded]:
    return [log.mapper.to_domain_event(notification) for notification in notifications]
