"""How long it takes to show a record of 100,000 events as it was, a page of its history, and a whole view."""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from infra.blindindex import HmacBlindIndex
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.eventstore.unsealer import BoxUnsealer
from infra.history.replay import Replays
from infra.history.segmenting import Segmenter
from infra.history.segments import Bounds, Snapshots
from infra.kek import mint
from infra.memory.keyring import MemoryKeyRing
from infra.postgres.database import Pool, open_pool
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from infra.postgres.segments import PostgresCheckpoints, PostgresSegments
from infra.postgres.views.tables import TABLES
from infra.postgres.views.timeline import PostgresTimelineIndex
from infra.timeline import Histories, Timeline
from projections import pipeline
from projections.model import fold
from projections.timeline import EntryFilter, Place
from tests.histories import BEGIN, NAMESPACE, long_lead, stored, write

EVENTS: Final = int(os.environ.get("BENCH_HISTORY_EVENTS", "100000"))
MOMENTS: Final = 200
STEP: Final = timedelta(minutes=30)
BACKDATED: Final = 0.01


async def _timed(work: Callable[[Bounds], Awaitable[object]], moments: list[Bounds]) -> list[float]:
    """Milliseconds of each, in order of length."""
    took: list[float] = []
    for bounds in moments:
        began = time.perf_counter()
        await work(bounds)
        took.append((time.perf_counter() - began) * 1_000)
    return sorted(took)


def _moments(seed: int) -> dict[str, list[Bounds]]:
    chance = random.Random(seed)
    whens = [BEGIN + STEP * chance.randrange(EVENTS) for _ in range(MOMENTS)]
    return {
        "as_of": [Bounds(as_of=it) for it in whens],
        "known_at": [Bounds(known_at=it) for it in whens],
        "both": [Bounds(as_of=it, known_at=it + timedelta(days=chance.uniform(0, 60))) for it in whens],
        "neither": [Bounds()] * 20,
    }


async def run(url: str) -> None:
    await migrate(url, namespace=NAMESPACE)
    pool = await open_pool(url, size=2)
    mapper, reader, segments = EventMapper(NAMESPACE), FencedReader(pool), PostgresSegments(pool)
    snapshots = Snapshots(segments, reader, mapper, TABLES)
    segmenter = Segmenter(segments, snapshots, reader, mapper, PostgresCheckpoints(pool))
    id: UUID = uuid7()
    await write(pool, stored(mapper, long_lead(id, EVENTS, step=STEP, backdated=BACKDATED)))
    began = time.perf_counter()
    await segmenter.advance()
    written = time.perf_counter() - began

    table = Table(
        title=f"one record of {EVENTS:,} events as it was ({BACKDATED:.0%} backdated up to 30 days)"
    )
    for heading in ("asked for", "median ms", "99 % ms", "worst ms"):
        table.add_column(heading, justify="right")
    worst = 0.0
    for name, moments in _moments(7).items():
        took = await _timed(lambda bounds: snapshots.as_of(pipeline.project, id, bounds), moments)
        worst = max(worst, took[-1])
        high = took[int(len(took) * 0.99)]
        table.add_row(name, f"{statistics.median(took):.1f}", f"{high:.1f}", f"{took[-1]:.1f}")
    began = time.perf_counter()
    history = [mapper.to_domain_event(it) for it in await reader.events_of(id)]
    plain = fold(pipeline.project, id, history, as_of=BEGIN + STEP * EVENTS // 2)
    table.add_row("the plain fold", f"{(time.perf_counter() - began) * 1_000:,.0f}", "", "")
    assert plain == await snapshots.as_of(pipeline.project, id, Bounds(as_of=BEGIN + STEP * EVENTS // 2))
    Console().print(table)
    await _page_and_replay(pool, snapshots, mapper, reader, id)
    print(
        f"its segments written in {written:.1f} s; the worst case {'holds' if worst < 50 else 'MISSES'} 50 ms"
    )
    await pool.close()


async def _page_and_replay(
    pool: Pool, snapshots: Snapshots, mapper: EventMapper, reader: FencedReader, id: UUID
) -> None:
    """A page of 50 entries from the middle of the record, changes and all; and a whole view as it was."""
    ring = MemoryKeyRing()
    unsealer, index = BoxUnsealer(ring, NAMESPACE), PostgresTimelineIndex(pool)
    timeline = Timeline(Histories(reader, mapper, snapshots), index, unsealer, ring)
    middle = (await reader.at_versions(id, [EVENTS // 2]))[0].id
    took = []
    for _ in range(20):
        began = time.perf_counter()
        page = await timeline.page(EntryFilter(record_id=id), after=Place(middle), limit=50)
        took.append((time.perf_counter() - began) * 1_000)
        assert len(page.entries) == 50
    print(f"50 entries from its middle: median {statistics.median(took):.1f} ms, worst {max(took):.1f}")
    replays = Replays(reader, mapper, snapshots, unsealer, HmacBlindIndex(mint()), ring)
    began = time.perf_counter()
    await replays.views(("lead", "member"), BEGIN + STEP * EVENTS // 2, None)
    seconds = time.perf_counter() - began
    print(
        f"the pipeline as of a time: {EVENTS:,} events in {seconds:.1f} s, {EVENTS / seconds:,.0f} a second"
    )


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        asyncio.run(run(server.url))
