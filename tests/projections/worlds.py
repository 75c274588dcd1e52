"""Whole small worlds to try the views in: commands on one side, views on the other, all parts real."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from domain.erasure.aggregate import Erasure
from domain.values import ErasureGround
from infra.blindindex import HmacBlindIndex
from infra.deadletters import DeadLetters
from infra.eventstore.appender import Appender
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.eventstore.store import PostgresEventStore
from infra.eventstore.unsealer import BoxUnsealer
from infra.history.replay import TopicReader
from infra.kafka.broker import LocalBroker
from infra.kafka.consumer import KafkaSource
from infra.kafka.record import topics
from infra.kafka.relay import Relay
from infra.kek import FileKek, mint
from infra.memory.eventstore import MemoryEventStore
from infra.memory.kek import MemoryKekPlace
from infra.memory.keyring import MemoryKeyRing
from infra.memory.views import MemoryViews
from infra.postgres.database import Pool, open_pool
from infra.postgres.indexpurger import PostgresIndexPurger
from infra.postgres.keystore import key_ring_at
from infra.postgres.relay_lease import PostgresRelayLease
from infra.postgres.views.letterbox import PostgresLetters
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.views import PostgresViews
from infra.projector import KAFKA, LogSource, Projector, ViewStore, following_log
from infra.timeline import PlaceReader
from infra.undecoded import TolerantDecoder
from projections.views import Views
from services.application import Application
from services.customers import Customers
from services.leads import Leads
from services.members import Members
from services.ports import (
    CommandContext,
    EventSource,
    IndexPurger,
    KeyRing,
    KeyShredder,
    LogReader,
    SubjectMarks,
    Unsealer,
)
from services.tickets import Tickets

NAMESPACE = "main"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday, as business opens."""


class TestClock:
    """The system's clock of a test: a second later whenever it is read."""

    __test__ = False

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


class Ring(KeyRing, KeyShredder, SubjectMarks, Protocol):
    """A key ring that can shred and mark, too."""


class Log(LogReader, PlaceReader, TopicReader, Protocol):
    """A log that is read in order, by place, and by topic."""


@dataclass(frozen=True, slots=True)
class World:
    """What a test speaks to."""

    application: Application
    reader: Log
    mapper: EventMapper
    ring: Ring
    purger: IndexPurger
    unsealer: Unsealer
    blind: HmacBlindIndex
    store: ViewStore
    views: Views
    pool: Pool | None = None

    @property
    def customers(self) -> Customers:
        return Customers(self.application)

    @property
    def leads(self) -> Leads:
        return Leads(self.application)

    @property
    def tickets(self) -> Tickets:
        return Tickets(self.application)

    @property
    def members(self) -> Members:
        return Members(self.application)

    async def erase(self, subject_id: UUID) -> UUID:
        """The steps of an erasure, one after the other."""
        id = uuid7()
        await self.application.create(
            lambda: Erasure.request(
                id=id, erased_subject_id=subject_id, ground=ErasureGround.CONSENT_WITHDRAWN
            ),
            context=at(),
        )
        shredded = await self.ring.shred(subject_id)
        await self.purger.purge(subject_id)
        prints = tuple(shredded.fingerprints.values())
        await self.application.change(
            Erasure, id=id, decide=lambda it: it.complete(fingerprints=prints), context=at()
        )
        return id

    async def settle(self) -> None:
        """Wait until the views show everything there is."""
        await self.reader.horizon()
        for notification in await self.reader.read(0, 1_000_000):
            assert await self.views.wait_for(notification.id, 30), f"position {notification.id} never showed"

    async def clear(self, value: Any) -> Any:
        """The clear value of a handle."""
        return (await self.unsealer.open([value]))[value]


def dead_letters(world: World) -> DeadLetters:
    """The parked records of the world's views."""
    assert world.pool is not None
    assert isinstance(world.store, PostgresViewStore)
    return DeadLetters(PostgresLetters(world.pool), world.store, world.reader, world.mapper)


def at(hours: float = 0, *, reason: str | None = None) -> CommandContext:
    """A command, so many hours after business opened."""
    return CommandContext(
        command_id=uuid4(),
        request_digest=random.randbytes(16),
        actor="tester",
        occurred_at=START + timedelta(hours=hours),
        correlation_id=uuid4(),
        reason=reason,
    )


@asynccontextmanager
async def memory_world() -> AsyncIterator[World]:
    """Everything in memory."""
    ring, mapper, blind, clock = MemoryKeyRing(), EventMapper(NAMESPACE), HmacBlindIndex(mint()), TestClock()
    log = MemoryEventStore(mapper, ring, clock)
    unsealer = BoxUnsealer(ring, NAMESPACE)
    views = MemoryViews(unsealer, blind, ring)

    @asynccontextmanager
    async def source() -> AsyncIterator[EventSource]:
        yield LogSource(log, mapper, await views.tracked("log"))

    world = World(Application(log, clock), log, mapper, ring, views, unsealer, blind, views, views)
    async with meanwhile(Projector(source, views).run):
        yield world


@asynccontextmanager
async def postgres_world(
    url: str, *, projecting: bool = True, clock: TestClock | None = None
) -> AsyncIterator[World]:
    """Log and views in PostgreSQL; the views follow the log."""
    async with _in_postgres(url, clock or TestClock()) as world:
        pool = world.pool
        assert pool is not None
        source: Callable[[], AbstractAsyncContextManager[EventSource]] = lambda: following_log(  # noqa: E731
            pool, world.reader, world.mapper, world.store
        )
        if not projecting:
            yield world
            return
        async with meanwhile(Projector(source, world.store).run):
            yield world


@asynccontextmanager
async def kafka_world(url: str, broker: LocalBroker) -> AsyncIterator[World]:
    """Log and views in PostgreSQL; the views are fed from Kafka."""
    namespace = f"views-{uuid4().hex[:8]}"

    async with _in_postgres(url, TestClock()) as world:

        @asynccontextmanager
        async def source() -> AsyncIterator[EventSource]:
            decoder = TolerantDecoder(world.mapper)
            group = KafkaSource(broker.address, f"{namespace}.views", topics(namespace), decoder)
            try:
                yield group
            finally:
                await group.close()

        stop = asyncio.Event()
        relay = Relay(world.reader, broker.address, namespace, PostgresRelayLease(url))
        relaying = asyncio.create_task(relay.run(stop))
        try:
            async with meanwhile(Projector(source, world.store, name=KAFKA).run):
                yield world
        finally:
            stop.set()
            await relaying


@asynccontextmanager
async def _in_postgres(url: str, clock: TestClock) -> AsyncIterator[World]:
    pool = await open_pool(url, size=10)
    mapper = EventMapper(NAMESPACE)
    ring = await key_ring_at(pool, MemoryKekPlace(FileKek(bytes(32))), namespace=NAMESPACE)
    reader = FencedReader(pool)
    appender = Appender(pool, mapper, ring, clock, stored=reader.wake)
    unsealer, blind = BoxUnsealer(ring, NAMESPACE), HmacBlindIndex(mint())
    try:
        yield World(
            Application(PostgresEventStore(pool, mapper, appender), clock),
            reader,
            mapper,
            ring,
            PostgresIndexPurger(pool),
            unsealer,
            blind,
            PostgresViewStore(pool, unsealer, blind),
            PostgresViews(pool, blind),
            pool,
        )
    finally:
        await appender.close()
        await pool.close()


@asynccontextmanager
async def meanwhile(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """The work goes on until the block ends."""
    stop = asyncio.Event()
    running = asyncio.create_task(work(stop))
    try:
        yield
    finally:
        stop.set()
        await running
