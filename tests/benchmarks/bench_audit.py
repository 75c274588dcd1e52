"""The audit tree: how fast it follows the log, and what a proof costs when the log is long."""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from infra.audit.tree import AuditTree
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from tests.audit.trees import Grove, append, grove, sequencing
from tests.streams import stored_events

EVENTS = int(os.environ.get("LETHE_BENCH_EVENTS", "1000000"))
CHUNK = 30_000  # a multiple of the three records that take turns
PROOFS = 500
LEAVES_GOAL = 50_000
PROOF_MILLISECONDS_GOAL = 5.0


def main() -> None:
    """Fill a log, follow it, prove things about it, and print the table."""
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
    ):
        asyncio.run(migrate(postgres.url, namespace="main"))
        for start in range(0, EVENTS, CHUNK):
            append(postgres.url, min(CHUNK, EVENTS - start))
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE log.events")
        asyncio.run(measure(postgres.url, Path(folder) / "checkpoints"))


async def measure(url: str, folder: Path) -> None:
    """The figures, each against its goal."""
    async with grove(url, folder, seconds=10) as it:
        begun = time.perf_counter()
        async with sequencing(it):
            await follow(it)
            seconds = time.perf_counter() - begun
        chance = random.Random(1)
        included = await latencies(lambda: prove_inclusion(it.tree, chance))
        grew = await latencies(lambda: prove_consistency(it.tree, chance))
    show(EVENTS / seconds, included, grew)


async def follow(it: Grove) -> None:
    while await it.tree.size() < EVENTS:  # noqa: ASYNC110 - nobody sends word
        await asyncio.sleep(0.02)


async def prove_inclusion(tree: AuditTree, chance: random.Random) -> None:
    size = EVENTS - chance.randrange(EVENTS // 10)
    await tree.inclusion(chance.randrange(1, size + 1), size)


async def prove_consistency(tree: AuditTree, chance: random.Random) -> None:
    await tree.consistency(chance.randrange(1, EVENTS), EVENTS)


async def latencies(work: Callable[[], Awaitable[None]]) -> list[float]:
    """Milliseconds of each, one after the other."""
    found = []
    for _ in range(PROOFS):
        begun = time.perf_counter()
        await work()
        found.append((time.perf_counter() - begun) * 1000)
    return found


def show(leaves: float, included: list[float], grew: list[float]) -> None:
    """The table."""
    size = len(stored_events(1, records=1)[0].state)
    table = Table(title=f"Audit tree over {EVENTS:,} events, their stored form about {size} bytes")
    for column in ("", "median", "99 of 100", "goal"):
        table.add_column(column, justify="right")
    table.add_row("leaves/s, log to stored and signed tree", f"{leaves:,.0f}", "", f"{LEAVES_GOAL:,}")
    for name, times in (("inclusion proof, ms", included), ("consistency proof, ms", grew)):
        ninety_nine = statistics.quantiles(times, n=100)[98]
        table.add_row(
            name, f"{statistics.median(times):.2f}", f"{ninety_nine:.2f}", f"{PROOF_MILLISECONDS_GOAL}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
