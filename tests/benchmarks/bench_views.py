"""How fast views are built from the log: all together, and the pipeline alone, against the stock runner."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, DomainEventProtocol, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.lead.aggregate import Lead
from domain.values import CurrencyCode, EmailAddress, Money
from infra.eventloop import run
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.tables import VIEWS
from infra.projector import BATCH_EVENTS_MAX, LogSource
from tests.projections.worlds import NAMESPACE, World, at, postgres_world

LEADS: Final = int(os.environ.get("BENCH_LEADS", "5000"))
STOCK_LEADS: Final = LEADS // 5
EVENTS_A_LEAD: Final = 4
ROUNDS: Final = 5
FLOOR: Final = 25_000
TABLES: Final = (
    "views.tracking", "directory.customers", "directory.members", "directory.erasures",
    "directory.blind_index", "pipeline.leads", "tickets.tickets", "timeline.entries",
)  # fmt: skip


class StockLead(Aggregate):
    """The same four facts as our leads have, in the stock library's words; nothing is sealed."""

    @event("Captured")
    def __init__(self, *, source: str, product: str, name: str, email: str) -> None:
        self.source = source

    @event("Contacted")
    def contact(self, *, note: str) -> None:
        pass

    @event("Qualified")
    def qualify(self, *, amount: Decimal, currency: str) -> None:
        pass

    @event("Won")
    def win(self, *, amount: Decimal, currency: str) -> None:
        pass


class StockLeads(Application[Any]):
    """The stock application over the stock recorder."""


class StockPipelineView(PostgresTrackingRecorder):
    """A row a lead with stage and value, moved on with the tracking in one transaction."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS stock_pipeline (id uuid PRIMARY KEY, version bigint, stage text, "
                "source text, product text, value numeric, currency text, changed_at timestamptz)"
            ).format()
        )

    def capture(self, lead: Any, tracking: Tracking) -> None:
        self._execute(
            "INSERT INTO stock_pipeline (id, version, stage, source, product, changed_at) "
            "VALUES (%s, %s, 'new', %s, %s, %s)",
            [lead.originator_id, lead.originator_version, lead.source, lead.product, lead.timestamp],
            tracking,
        )

    def move(self, lead: Any, stage: str, money: Sequence[object], tracking: Tracking) -> None:
        amount, currency = money
        self._execute(
            "UPDATE stock_pipeline SET version = %s, stage = %s, value = coalesce(%s, value), "
            "currency = coalesce(%s, currency), changed_at = %s WHERE id = %s",
            [lead.originator_version, stage, amount, currency, lead.timestamp, lead.originator_id],
            tracking,
        )

    def _execute(self, query: str, values: Sequence[object], tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(query.encode(), values, prepare=True)


class StockPipeline(Projection[StockPipelineView]):
    """The pipeline as the stock library's projections are written."""

    name = "stockpipeline"

    @singledispatchmethod
    def process_event(self, domain_event: DomainEventProtocol[Any], tracking: Tracking) -> None:
        raise TypeError(type(domain_event))

    @process_event.register
    def _(self, it: StockLead.Captured, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.capture(it, tracking)

    @process_event.register
    def _(self, it: StockLead.Contacted, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.move(it, "engaged", (None, None), tracking)

    @process_event.register
    def _(self, it: StockLead.Qualified, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.move(it, "qualified", (it.amount, it.currency), tracking)

    @process_event.register
    def _(self, it: StockLead.Won, tracking: Tracking) -> None:  # type: ignore[name-defined]
        self.view.move(it, "won", (it.amount, it.currency), tracking)


async def fill(world: World) -> None:
    """Leads captured, contacted, qualified and won."""
    value = Money(amount=Decimal("1250.50"), currency=CurrencyCode("EUR"))

    def lead(number: int) -> Lead:
        made = Lead.capture(
            id=uuid7(),
            subject_id=uuid7(),
            source="fair",
            product="GTX Pro",
            name=f"Person {number}",
            email=EmailAddress(f"person.{number}@example.com"),
        )
        made.contact(note="met at the fair")
        made.qualify(value=value)
        made.win(value=value)
        return made

    for first in range(0, LEADS, 500):
        await asyncio.gather(
            *(
                world.application.create(lambda number=number: lead(number), context=at())  # type: ignore[misc]
                for number in range(first, first + 500)
            )
        )


async def build(world: World, views: Sequence[str]) -> float:
    """Events a second of building these views from the whole log, from nothing."""
    assert world.pool is not None
    async with world.pool.connection() as connection:
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}".encode())
    store = PostgresViewStore(world.pool, world.unsealer, world.blind, views=views)
    source = LogSource(world.reader, world.mapper, 0)
    count = 0
    started = time.perf_counter()
    while batch := await source.next(limit=BATCH_EVENTS_MAX, timeout=0.1):
        await store.apply(batch, "log")
        count += len(batch)
    # The last, empty page was waited for.
    took = time.perf_counter() - started - 0.1
    assert count == LEADS * EVENTS_A_LEAD, count
    return count / took


def fill_stock(env: dict[str, str]) -> None:
    app = StockLeads(env)
    for number in range(STOCK_LEADS):
        lead = StockLead(
            source="fair", product="GTX Pro", name=f"Person {number}", email=f"person.{number}@example.com"
        )
        lead.contact(note="met at the fair")
        lead.qualify(amount=Decimal("1250.50"), currency="EUR")
        lead.win(amount=Decimal("1250.50"), currency="EUR")
        app.save(lead)
    app.close()


def build_stock(env: dict[str, str], url: str) -> float:
    """The same with the stock library's runner and settings."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS stock_pipeline, stockpipeline_tracking")
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=StockLeads,
        projection_class=StockPipeline,
        view_class=StockPipelineView,
        env=env,
    ) as runner:
        runner.wait(STOCK_LEADS * EVENTS_A_LEAD, timeout=120)
        took = time.perf_counter() - started
    return STOCK_LEADS * EVENTS_A_LEAD / took


def stock_environment(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": host,
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "postgres",
        "POSTGRES_PASSWORD": parts.password or "none",
    }


async def measure(url: str) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"pipeline alone": [], "all views": [], "stock runner": []}
    env = stock_environment(url)
    await asyncio.to_thread(fill_stock, env)
    async with postgres_world(url, projecting=False) as world:
        await fill(world)
        for _ in range(ROUNDS):
            rates["pipeline alone"].append(await build(world, ["pipeline"]))
            rates["stock runner"].append(await asyncio.to_thread(build_stock, env, url))
            rates["all views"].append(await build(world, VIEWS))
    return rates


def main() -> None:
    """Print events a second of each, and how many times the stock runner's they are."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "postgres") as postgres:
        url = postgres.url_of("postgres")
        asyncio.run(migrate(url, namespace=NAMESPACE))
        rates = run(measure(url))
    medians = {name: statistics.median(of) for name, of in rates.items()}
    table = Table(title=f"Building views from {LEADS * EVENTS_A_LEAD:,} events, median of {ROUNDS} rounds")
    for column in ("views", "events/s", "rounds", "ratio to stock", f"goal (>= {FLOOR:,})"):
        table.add_column(column, justify="right")
    for name, median in medians.items():
        ratio = median / medians["stock runner"]
        goal = "" if name == "stock runner" else "reached" if median >= FLOOR else "missed"
        rounds = " ".join(f"{it:,.0f}" for it in rates[name])
        table.add_row(name, f"{median:,.0f}", rounds, f"{ratio:.1f}", goal)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
