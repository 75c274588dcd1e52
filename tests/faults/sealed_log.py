"""A sealed log in a test's own database: the real parts, put together by hand so that a test can bend one."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.values import CustomerKind, LawfulBasis
from infra.eventstore.appender import Appender
from infra.eventstore.erasurejournal import PostgresErasureJournal
from infra.eventstore.mapper import EventMapper
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.unsealer import BoxUnsealer
from infra.kek import FileKek, KekPlace
from infra.ledgerkeeping import KeptLedger, open_ledger
from infra.memory.kek import MemoryKekPlace
from infra.memory.ledger import MemoryLedger
from infra.postgres.database import open_pool
from infra.postgres.indexpurger import PostgresIndexPurger
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.keystore import key_ring_at
from services.application import Application
from services.customers import Customers
from services.erasures import Erasures
from services.ports import CommandContext, KeyRing

NAMESPACE = "main"
KEK = FileKek(bytes(32))


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def command(reason: str | None = None) -> CommandContext:
    return CommandContext(
        command_id=uuid4(),
        request_digest=random.randbytes(16),
        actor="tester",
        occurred_at=datetime.now(UTC),
        correlation_id=uuid4(),
        reason=reason,
    )


@dataclass(frozen=True, slots=True)
class SealedLog:
    """Everything on the way from a command to a sealed event, and back."""

    pool: AsyncConnectionPool[AsyncConnection[Any]]
    ring: PostgresKeyRing
    application: Application
    customers: Customers
    erasures: Erasures
    unsealer: BoxUnsealer
    journal: PostgresErasureJournal

    async def register(self, subject_id: UUID, name: str = "Ann") -> UUID:
        """A customer of this subject; only the identity key is minted."""
        id = uuid4()
        await self.customers.register(
            id=id,
            subject_id=subject_id,
            context=command(),
            kind=CustomerKind.PERSON,
            source="web",
            lawful_basis=LawfulBasis.CONTRACT,
            purpose="sales",
            name=name,
        )
        return id

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def run(self, statement: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement.encode())


async def open_kept(pool: AsyncConnectionPool[AsyncConnection[Any]], path: Path) -> KeptLedger:
    """The ledger at this place, as the product opens it."""
    return await open_ledger(pool, path, namespace=NAMESPACE, clock=WallClock())


@asynccontextmanager
async def sealed_log(
    url: str,
    *,
    size: int = 8,
    keks: KekPlace | None = None,
    bent: Callable[[PostgresKeyRing], KeyRing] = lambda ring: ring,
    ledger: Path | None = None,
) -> AsyncIterator[SealedLog]:
    """Opened on a migrated database. `bent` may put something between the log and its key ring."""
    pool = await open_pool(url, size=size)
    ring = await key_ring_at(pool, keks or MemoryKekPlace(KEK), namespace=NAMESPACE)
    mapper = EventMapper(NAMESPACE)
    appender = Appender(pool, mapper, bent(ring), WallClock())
    application = Application(PostgresEventStore(pool, mapper, appender), WallClock())
    journal = PostgresErasureJournal(pool, mapper)
    erasures = Erasures(
        application,
        shredder=ring,
        purger=PostgresIndexPurger(pool),
        subjects=ring,
        journal=journal,
        ledger=MemoryLedger() if ledger is None else await open_kept(pool, ledger),
    )
    try:
        yield SealedLog(
            pool, ring, application, Customers(application), erasures, BoxUnsealer(ring, NAMESPACE), journal
        )
    finally:
        await appender.close()
        await pool.close()
