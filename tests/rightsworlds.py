"""A small world to try people's rights in: a log with its views, in memory or in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from domain.values import CustomerKind, LawfulBasis
from infra.blindindex import HmacBlindIndex
from infra.eventstore.erasurejournal import PostgresErasureJournal
from infra.eventstore.lastevents import PostgresLastEvents
from infra.eventstore.unsealer import BoxUnsealer
from infra.kek import mint
from infra.ledgerkeeping import open_ledger
from infra.memory.erasurejournal import MemoryErasureJournal
from infra.memory.holdings import MemoryHoldings
from infra.memory.lastevents import MemoryLastEvents
from infra.memory.ledger import MemoryLedger
from infra.memory.views import MemoryViews
from infra.postgres.indexpurger import PostgresIndexPurger
from infra.postgres.views.holdings import PostgresHoldings
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.views import PostgresViews
from infra.registrations import ViewedRegistrations
from infra.retention import Holdings, RetentionRunner
from infra.subjects import Subjects
from projections.views import Views
from services.activities import Activities
from services.application import Application
from services.consents import Consents
from services.customers import Customers
from services.erasures import ErasureJournal, ErasureLedger, Erasures
from services.holds import Holds
from services.lawfulness import LastEvents, Lawfulness
from services.leads import Leads
from services.ports import CommandContext, Ground, IndexPurger, Recorded
from services.reactions import Reactions
from services.restrictions import Restrictions
from services.retention import Retentions
from services.tickets import Tickets
from tests.eventlogs import NAMESPACE, Log, memory_log, postgres_log

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@dataclass
class SetClock:
    """A clock that stands where the test sets it."""

    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment


@dataclass
class RightsWorld:
    """A log with its views, and the services over them."""

    log: Log
    store: PostgresViewStore | MemoryViews
    views: Views
    unsealer: BoxUnsealer
    clock: SetClock
    last: LastEvents
    journal: ErasureJournal
    ledger: ErasureLedger
    purger: IndexPurger
    everybody: Holdings
    position: int = 0

    def __post_init__(self) -> None:
        self.lawfulness = Lawfulness(
            self.log.store,
            last=self.last,
            registrations=ViewedRegistrations(self.views.directory),
            ring=self.log.ring,
            clock=self.clock,
        )
        self.application = Application(self.log.store, self.clock, self.lawfulness)
        self.subjects = Subjects(self.log.ring, self.views.timeline, self.views.directory)
        stands: dict[str, Any] = {"marks": self.log.ring, "ring": self.log.ring, "subjects": self.subjects}
        self.restrictions = Restrictions(self.application, **stands)
        self.holds = Holds(self.application, **stands)
        self.activities = Activities(self.application)
        self.consents = Consents(
            self.application, lawfulness=self.lawfulness, ring=self.log.ring, subjects=self.subjects
        )
        self.erasures = Erasures(
            self.application,
            shredder=self.log.ring,
            purger=self.purger,
            subjects=self.subjects,
            journal=self.journal,
            ledger=self.ledger,
        )
        self.retentions = Retentions(self.application)
        self.retention = RetentionRunner(
            self.everybody, self.views, self.log.reader, self.log.ring, self.erasures, self.clock
        )
        self.customers = Customers(self.application)
        self.tickets = Tickets(self.application)
        self.leads = Leads(self.application)
        self.reactions = Reactions(self.application, self.unsealer)

    def command(self, **given: Any) -> CommandContext:
        return replace(CommandContext(uuid4(), b"digest", "tester", self.clock.now(), uuid4()), **given)

    async def person(self, subject_id: UUID | None = None, **facts: Any) -> tuple[UUID, UUID]:
        """A customer: the subject, and the record."""
        subject_id, id = subject_id or uuid4(), uuid4()
        usual: dict[str, Any] = {
            "kind": CustomerKind.PERSON,
            "source": "web",
            "lawful_basis": LawfulBasis.CONTRACT,
            "purpose": "orders",
            "name": "Ann",
        }
        given = {"context": self.command()} | usual | facts
        await self.customers.register(id=id, subject_id=subject_id, **given)
        return subject_id, id

    async def note(self, customer_id: UUID, *, ground: Ground | None = None) -> None:
        """A command that seals something of the customer's."""
        await self.customers.write_note(id=customer_id, text="called", context=self.command(ground=ground))

    async def recorded(self, position: int) -> Recorded:
        [stored] = await self.log.reader.read(position - 1, 1)
        return self.log.mapper.to_domain_event(stored)

    async def follow(self) -> None:
        """The views catch up."""
        while stored := await self.log.reader.read(self.position, 1000):
            await self.store.apply([self.log.mapper.to_domain_event(it) for it in stored], "log")
            self.position = stored[-1].id


@asynccontextmanager
async def rights_world(url: str | None, folder: Path) -> AsyncIterator[RightsWorld]:
    """In PostgreSQL where a database is given, else in memory."""
    blind = HmacBlindIndex(mint())
    if url is None:
        memory = memory_log()
        unsealer = BoxUnsealer(memory.ring, NAMESPACE)
        twins = MemoryViews(unsealer, blind, memory.ring)
        yield RightsWorld(
            memory,
            twins,
            twins,
            unsealer,
            SetClock(),
            MemoryLastEvents(memory.store),
            MemoryErasureJournal(memory.store, memory.mapper),
            MemoryLedger(),
            twins,
            MemoryHoldings(twins),
        )
        return
    async with postgres_log(url, folder) as log:
        unsealer = BoxUnsealer(log.ring, NAMESPACE)
        store = PostgresViewStore(log.pool, unsealer, blind)
        clock = SetClock()
        yield RightsWorld(
            log,
            store,
            PostgresViews(log.pool, blind),
            unsealer,
            clock,
            PostgresLastEvents(log.pool, log.mapper),
            PostgresErasureJournal(log.pool, log.mapper),
            await open_ledger(log.pool, folder / "ledger", namespace=NAMESPACE, clock=clock),
            PostgresIndexPurger(log.pool),
            PostgresHoldings(log.pool),
        )
