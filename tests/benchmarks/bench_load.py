"""How long it takes to load a record of 10,000 events to decide on it: at first, and from then on."""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final
from uuid import UUID

from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.lead.aggregate import Lead
from infra.eventloop import run
from infra.eventstore.snapshots import PostgresAggregateSnapshots
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from services.application import Application
from services.remembered import Remembered
from tests.eventlogs import NAMESPACE, PostgresLog, SteppingClock, context, postgres_log
from tests.histories import long_lead, stored, write

EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "10000"))
FIRST: Final = 5
AGAIN: Final = 200
GOAL_MS: Final = 20.0
COLD: Final = "the first time in a process, from a snapshot"


async def first(
    log: PostgresLog, id: UUID, snapshots: PostgresAggregateSnapshots | None = None
) -> list[float]:
    """Milliseconds of a process that has not seen the record yet."""
    took = []
    for _ in range(FIRST):
        began = time.perf_counter()
        await Remembered(snapshots).load(log.store, id)
        took.append((time.perf_counter() - began) * 1_000)
    return took


async def again(log: PostgresLog, id: UUID) -> tuple[list[float], list[float]]:
    """Milliseconds of loading it where it changes all the time; and of whole commands on it."""
    application, remembered = Application(log.store, SteppingClock()), Remembered()
    loads, commands = [], []
    await remembered.load(log.store, id)
    await application.change(Lead, id, lambda it: it.assign(owner_id=uuid7()), context=context())
    for _ in range(AGAIN):
        began = time.perf_counter()
        await application.change(Lead, id, lambda it: it.assign(owner_id=uuid7()), context=context())
        decided = time.perf_counter()
        await remembered.load(log.store, id)
        loads.append((time.perf_counter() - decided) * 1_000)
        commands.append((decided - began) * 1_000)
    return loads, commands


async def measure(url: str, folder: Path) -> dict[str, list[float]]:
    await migrate(url, namespace=NAMESPACE)
    async with postgres_log(url, folder) as log:
        id = uuid7()
        await write(log.pool, stored(log.mapper, long_lead(id, EVENTS)))
        whole = await first(log, id)
        key = await log.ring.system_key(PostgresAggregateSnapshots.KEY_NAME)
        snapshots = PostgresAggregateSnapshots(log.pool, log.mapper, key)
        await first(log, id, snapshots)
        await snapshots.close()
        cold = await first(log, id, snapshots)
        loads, commands = await again(log, id)
    return {
        "the first time of all, from the beginning": whole,
        COLD: cold,
        "from then on, with what came since": loads,
        "a whole command on it, durable": commands,
    }


def main() -> None:
    """Print the figures, those of a process that is new to the record against the goal."""
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            figures = run(measure(server.url, Path(folder)))
    table = Table(title=f"loading a record of {EVENTS:,} events to decide")
    for heading in ("what", "median ms", "worst ms"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, took in figures.items():
        table.add_row(what, f"{statistics.median(took):.2f}", f"{max(took):.2f}")
    Console().print(table)
    median = statistics.median(figures[COLD])
    print(f"load {median:.2f} ms, goal {GOAL_MS:g}: {'reached' if median < GOAL_MS else 'NOT REACHED'}")


if __name__ == "__main__":
    main()
