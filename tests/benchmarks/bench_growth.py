"""What a log of 0.1, 1 and (if asked for) 10 million events costs: the same figures at each size.

Writes the table between its marks in docs/performance.md, and the plot docs/performance.svg. BENCH_GROWTH
names the sizes, such as `100000,1000000,10000000`. Each work has a process of its own, whose memory is
measured.
"""

import asyncio
import math
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
import pygal  # type: ignore[import-untyped]
from psycopg import sql
from pygal.style import CleanStyle  # type: ignore[import-untyped]
from rich.console import Console

from infra.bootstrap import System, open_system
from infra.eventloop import run
from infra.history.segments import Bounds
from infra.postgres.embedded import EmbeddedPostgres
from infra.projector import BATCH_EVENTS_MAX, LOG, LogSource
from infra.settings import load
from projections import pipeline
from projections.directory import CustomerFilter
from tests.benchmarks import generator
from tests.eventlogs import registrations

SIZES: Final = [int(it) for it in os.environ.get("BENCH_GROWTH", "100000,1000000").split(",")]
BUILT_EVENTS: Final = 50_000
"""Of so many, the last ones before a size is reached, the building of views is timed."""
APPENDED: Final = 6_000
WRITERS: Final = 32
ASKED: Final = 400
ROUNDS: Final = 5
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN_MARK, END_MARK = "<!-- growth: begin -->", "<!-- growth: end -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table. `lower`: less of it is better."""

    words: str
    lower: bool
    form: str = "{:,.0f}"


FIGURES: Final[Mapping[str, Figure]] = {
    "filled": Figure("generator, events/s", lower=False),
    "appended": Figure("durable append, 32 writers, two boxes each, events/s", lower=False),
    "built": Figure("all views built from the log, events/s", lower=False),
    "load": Figure("load a record to decide, median ms", lower=True, form="{:.2f}"),
    "as_of": Figure("a record as it was, median ms", lower=True, form="{:.2f}"),
    "page": Figure("a page of 50 customers (SQL and decoding), median ms", lower=True, form="{:.2f}"),
    "writer_mb": Figure("memory of the writing process, peak MB", lower=True),
    "projector_mb": Figure("memory of the projecting process, peak MB", lower=True),
    "reader_mb": Figure("memory of the reading process, peak MB", lower=True),
}


def main() -> None:
    """Grow a log, measure at each size, and write table and plot."""
    found: dict[int, dict[str, float]] = {}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lethe-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "postgres") as server:
            run(_founded(server.url, folder))
            for size in sorted(SIZES):
                found[size] = measure(server.url, folder, size)
                Console().print(f"{size:,} events after {time.perf_counter() - began:,.0f} s: {found[size]}")
    rows = table(found)
    print(rows)
    write(rows, found)


async def _founded(url: str, folder: Path) -> None:
    async with open_system(load(database_url=url, data=folder / "data")):
        return


def measure(url: str, folder: Path, size: int) -> dict[str, float]:
    """The figures of a log of this size, to which it is brought first."""
    figures: dict[str, float] = {}
    with psycopg.connect(url) as connection:
        have = connection.execute("SELECT count(*) FROM log.events").fetchone() or (0,)
    missing = size - int(have[0])
    figures["filled"] = generator.fill(url, folder / "data", missing, first=int(have[0]))
    for work in (build, read, write_on):
        figures |= _beside(partial(_alone, work, url, folder))
    return figures


def _beside(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work).result()


def _alone(
    work: Callable[[System], Coroutine[Any, Any, dict[str, float]]], url: str, folder: Path
) -> dict[str, float]:
    async def opened() -> dict[str, float]:
        async with open_system(load(database_url=url, data=folder / "data")) as system:
            return await work(system)

    return run(opened())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def build(system: System) -> dict[str, float]:
    """All views up to the end of the log; how fast the last of it went."""
    end = await system.reader.horizon()
    source = LogSource(system.reader, system.mapper, await system.view_store.tracked(LOG))
    timed_from, events = None, 0
    while source.after < end and (batch := await source.next(limit=BATCH_EVENTS_MAX, timeout=0.1)):
        await system.view_store.apply(batch, LOG)
        if timed_from is not None:
            events += len(batch)
        elif batch[-1].position > end - BUILT_EVENTS:
            timed_from = time.perf_counter()
    seconds = time.perf_counter() - (timed_from or 0)
    await source.close()
    async with system.pool.connection() as connection:
        await connection.execute("VACUUM ANALYZE")
    return {"built": events / seconds, "projector_mb": _peak_mb()}


async def read(system: System) -> dict[str, float]:
    """Single records and pages, each picked at random out of all of them."""
    leads = await _some(system, "pipeline.leads")
    customers = await _some(system, "directory.customers")
    when = Bounds(as_of=generator.BEGIN + timedelta(days=36_500))
    directory = system.views.directory
    return {
        "load": await _median_ms(leads, system.store.load),
        "as_of": await _median_ms(leads, lambda id: system.snapshots.as_of(pipeline.project, id, when)),
        "page": await _median_ms(
            customers, lambda id: directory.list_customers(CustomerFilter(), limit=50, after=id)
        ),
        "reader_mb": _peak_mb(),
    }


async def _some(system: System, table: str) -> list[UUID]:
    async with system.pool.connection() as connection:
        query = sql.SQL("SELECT id FROM {} TABLESAMPLE BERNOULLI (20)").format(
            sql.Identifier(*table.split("."))
        )
        cursor = await connection.execute(query)
        ids = [id for (id,) in await cursor.fetchall()]
    return random.Random(3).sample(ids, min(ASKED, len(ids)))


async def _median_ms(ids: Sequence[UUID], ask: Callable[[UUID], Awaitable[object]]) -> float:
    took = []
    for id in ids:
        began = time.perf_counter()
        assert await ask(id) is not None
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000


async def write_on(system: System) -> dict[str, float]:
    """Registrations by concurrent writers, each acknowledged once it is durable."""
    rates = []
    for _ in range(ROUNDS):
        waiting = iter(registrations(APPENDED))

        async def writer(commits: Any = waiting) -> None:
            for commit in commits:
                await system.store.append(commit)

        began = time.perf_counter()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        rates.append(APPENDED / (time.perf_counter() - began))
    return {"appended": statistics.median(rates), "writer_mb": _peak_mb()}


def slope(found: Mapping[int, Mapping[str, float]], name: str) -> float:
    """How many per cent a figure changes by when the log becomes ten times as long."""
    sizes = sorted(found)
    if len(sizes) < 2:
        return 0.0
    tens = math.log10(sizes[-1] / sizes[0])
    grown: float = found[sizes[-1]][name] / found[sizes[0]][name]
    return (math.pow(grown, 1 / tens) - 1) * 100


def table(found: Mapping[int, Mapping[str, float]]) -> str:
    """The figures as a table in Markdown."""
    sizes = sorted(found)
    lines = [
        "| what | " + " | ".join(f"{it:,} events" for it in sizes) + " | slope: ten times the log |",
        "|---|" + "---:|" * (len(sizes) + 1),
    ]
    for name, figure in FIGURES.items():
        cells = " | ".join(figure.form.format(found[it][name]) for it in sizes)
        lines.append(f"| {figure.words} | {cells} | {slope(found, name):+.0f} % |")
    return "\n".join(lines)


def write(rows: str, found: Mapping[int, Mapping[str, float]]) -> None:
    """Put the table into the document, and draw each figure relative to the smallest log."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN_MARK)
    _, after = rest.split(END_MARK)
    DOCUMENT.write_text(f"{before}{BEGIN_MARK}\n{rows}\n{END_MARK}{after}")
    sizes = sorted(found)
    chart = pygal.Line(
        title="The same work in a growing log (the smallest log: 100; dashed: less is better)",
        x_labels=[f"{it:,}" for it in sizes],
        x_title="events in the log",
        range=(0, 200),
        style=CleanStyle,
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        width=900,
        height=620,
        js=[],
    )
    for name, figure in FIGURES.items():
        values = [100 * found[it][name] / found[sizes[0]][name] for it in sizes]
        dashes = {"dasharray": "6, 4"} if figure.lower else {}
        chart.add(figure.words, values, stroke_style={"width": 2, **dashes})
    DOCUMENT.with_suffix(".svg").write_bytes(chart.render())
