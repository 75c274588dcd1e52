"""Views fed from Kafka by 1, 2 and 4 projectors: how fast, and whether every view equals a rebuild."""

import asyncio
import os
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.lead.aggregate import Lead
from domain.values import CurrencyCode, EmailAddress, Money
from infra.eventloop import run
from infra.kafka.broker import LocalBroker
from infra.kafka.record import topics
from infra.kafka.relay import Relay
from infra.kafka.topics import ensure_topics
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from infra.postgres.relay_lease import PostgresRelayLease
from infra.postgres.views.tables import VIEWS
from tests.faults.test_row_13_projectors_come_and_go import joined, leave, rebuilder_of
from tests.projections.worlds import NAMESPACE, World, at, postgres_world

LEADS: Final = int(os.environ.get("BENCH_LEADS", "5000"))
EVENTS: Final = 4 * LEADS
SIZES: Final = (1, 2, 4)
ROUNDS: Final = 3
ROWS: Final = "SELECT count(*) FROM timeline.entries"
TABLES: Final = "views.tracking, directory.customers, directory.blind_index, pipeline.leads, timeline.entries"


def main() -> None:
    """Sizes take turns; prints the medians."""
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
        LocalBroker(Path(folder) / "broker") as broker,
    ):
        run(migrate(postgres.url, namespace=NAMESPACE))
        rates = run(measure(postgres.url, broker))
    show(rates)


async def measure(url: str, broker: LocalBroker) -> dict[int, list[float]]:
    rates: dict[int, list[float]] = {it: [] for it in SIZES}
    async with postgres_world(url, projecting=False) as world:
        await fill(world)
        for _ in range(ROUNDS):
            for members in SIZES:
                rates[members].append(EVENTS / await build(world, url, broker, members))
                rebuilder = await rebuilder_of(world)
                assert all([(await rebuilder.rebuild(view)).equal for view in VIEWS])
    return rates


async def build(world: World, url: str, broker: LocalBroker, members: int) -> float:
    """Seconds from the relay's first record until the last row is there, the members having joined before."""
    namespace = f"groups-{uuid4().hex}"
    await asyncio.to_thread(ensure_topics, broker.address, topics(namespace))
    assert world.pool is not None
    async with AsyncExitStack() as stack, world.pool.connection() as connection:
        await connection.execute(f"TRUNCATE {TABLES}".encode())
        for process in await asyncio.gather(*(joined(url, broker, namespace) for _ in range(members))):
            stack.push_async_callback(leave, process, killed=True)
        stop, relay = asyncio.Event(), Relay(world.reader, broker.address, namespace, PostgresRelayLease(url))
        relaying = asyncio.create_task(relay.run(stop))
        try:
            while not relay.leading:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.001)
            begun = time.perf_counter()
            while (await (await connection.execute(ROWS)).fetchone()) != (EVENTS,):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return time.perf_counter() - begun
        finally:
            stop.set()
            await relaying


async def fill(world: World) -> None:
    """Leads captured, contacted, qualified and won."""
    for first in range(0, LEADS, 500):
        numbers = range(first, min(LEADS, first + 500))
        await asyncio.gather(
            *(world.application.create(lambda it=it: lead(it), context=at()) for it in numbers)  # type: ignore[misc]
        )


def lead(number: int) -> Lead:
    """Four events."""
    value = Money(amount=Decimal("1250.50"), currency=CurrencyCode("EUR"))
    email = EmailAddress(f"person.{number}@example.com")
    made = Lead.capture(id=uuid7(), subject_id=uuid7(), source="fair", product="GTX", name="A", email=email)
    made.contact(note="met at the fair")
    made.qualify(value=value)
    made.win(value=value)
    return made


def show(rates: dict[int, list[float]]) -> None:
    """The table."""
    alone = statistics.median(rates[1])
    table = Table(
        title=f"Views over Kafka: {EVENTS:,} events, {ROUNDS} rounds, {os.cpu_count()} cores in all"
    )
    for column in ("members", "median /s", "from", "to", "to one"):
        table.add_column(column, justify="right")
    for members, found in rates.items():
        middle = statistics.median(found)
        table.add_row(
            f"{members}",
            f"{middle:,.0f}",
            f"{min(found):,.0f}",
            f"{max(found):,.0f}",
            f"{middle / alone:.2f}",
        )
    Console().print(table)
    Console().print("Every view equalled a rebuild, each time.")


if __name__ == "__main__":
    main()
