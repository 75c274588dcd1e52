"""How many pages of 50 customers, single ones and searches the API shows a second: unsealed, and recorded.

The reads are random over all of 100,000 customers, with the settings as they are: what a process has opened
within the last minute it does not open again. `each opened anew`: nothing is kept, neither keys nor records.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import psycopg
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.model import Category
from infra.accesslog import Access, Batch, packed
from infra.http.reading import cursor_of
from infra.postgres.accesses import PostgresAccesses
from infra.postgres.database import open_pool
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from tests.benchmarks import crowd
from tests.benchmarks.bare import bare_routes
from tests.benchmarks.bench_http import TOKEN, api, cpu_seconds

FEW: Final = 1_000
CUSTOMERS: Final = int(os.environ.get("BENCH_CUSTOMERS", "100000"))
NAMED: Final = 2 * CUSTOMERS
ROWS: Final = int(os.environ.get("BENCH_ROWS", "1000000"))
SEARCH_GOAL_MS: Final = 10
WIDTH: Final = 110
PAGE: Final = 50
CONNECTIONS: Final = 32
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
PROCESSES: Final = 2
WARM_SECONDS: Final = float(os.environ.get("BENCH_WARM_SECONDS", "40"))
"""Until most of what is asked for has been asked for before, within the minute for which it is kept."""
BATCH_PAGES: Final = 200
GOALS: Final = {"page": 1_000, "one": 2_500}
NAMES: Final = {"page": f"page of {PAGE}", "one": "one customer"}
KEEPING_NOTHING: Final = {"LETHE_KEY_CACHE_SECONDS": "0"}


class Reader(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the answer to the last is there."""

    def __init__(self, paths: Sequence[str], until: float, gone: "asyncio.Future[None]") -> None:
        self.paths, self.until, self.gone = paths, until, gone
        self.read = 0
        self.latencies: list[float] = []
        self._tail = f" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        self._parts: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(f"GET {random.choice(self.paths)}{self._tail}".encode())

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            head, _, body = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                self.gone.set_exception(RuntimeError(f"{data[:600]!r}"))
                self._transport.close()
                return
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
            self._missing = length - len(body)
        else:
            self._missing -= len(data)
        if self._missing:
            return
        self.read += 1
        self.latencies.append(time.perf_counter() - self._sent)
        if self._sent < self.until:
            self._send()
        else:
            self._transport.close()
            self.gone.set_result(None)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read in so many seconds, and how long each took."""

    seconds: float
    latencies: list[float]

    @property
    def count(self) -> int:
        return len(self.latencies)

    def percentile(self, number: int) -> float:
        """In milliseconds."""
        return sorted(self.latencies)[self.count * number // 100] * 1000


@dataclass(frozen=True, slots=True)
class Figures:
    """Reads a second; median and worst latency but for one of a hundred, and the API's CPU, in ms a read."""

    rate: float
    p50: float
    p99: float
    cpu: float


async def measure(
    port: int, paths: Sequence[str], seconds: float, *, connections: int = CONNECTIONS
) -> Measured:
    """Read at random for so long."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    readers = [Reader(paths, started + seconds, loop.create_future()) for _ in range(connections)]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(reader.gone for reader in readers))
    took = time.perf_counter() - started
    return Measured(took, [it for reader in readers for it in reader.latencies])


def paths(url: str) -> dict[str, list[str]]:
    """What is asked for: pages from each fiftieth customer on, and each customer. Not of the padding."""
    with psycopg.connect(url) as connection:
        ids = [
            it
            for (it,) in connection.execute(
                "SELECT id FROM directory.customers WHERE position > 0 ORDER BY id"
            )
        ]
    return {
        "page": [f"/v1/customers?limit={PAGE}&cursor={cursor_of(it)}" for it in ids[:-PAGE:PAGE]],
        "one": [f"/v1/customers/{it}" for it in ids],
    }


def main() -> None:
    """Print reads a second with two API processes, and what it costs to store who saw what."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        url, data = postgres.url_of("postgres"), folder / "data"
        asyncio.run(migrate(url, namespace="main"))
        crowd.fill(url, data, customers=FEW)
        few = paths(url)
        pages = {FEW: growth(url, data, few)}
        crowd.fill(url, data, customers=CUSTOMERS - FEW, leads=NAMED - CUSTOMERS)
        rates(url, data)
        pages[CUSTOMERS] = growth(url, data, few)
        crowd.pad(url, ROWS)
        pages[ROWS] = growth(url, data, few)
        show_growth(pages)
        crowd.log(url)
        searches(url, data)


def rates(url: str, data: Path) -> None:
    asked = paths(url)
    title = f"HTTP reads, unsealed and recorded, {PROCESSES} API processes, {CUSTOMERS:,} customers"
    table = Table(title=f"{title}; medians of {ROUNDS}")
    for column in (
        "read",
        "reads/s",
        "p50 ms",
        "p99 ms",
        "API CPU ms/read",
        "goal",
        "x goal",
        "x bare route",
    ):
        table.add_column(column, justify="right")
    bare = _rates_of_bare_route(asked)
    anew = _rates(url, data, asked, KEEPING_NOTHING, warm_seconds=1)
    usual = _rates(url, data, asked, {}, warm_seconds=WARM_SECONDS)
    for found, words in ((usual, ""), (anew, ", each opened anew"), (bare, ", a bare FastAPI route")):
        for what, it in found.items():
            table.add_row(
                NAMES[what] + words,
                f"{it.rate:,.0f}",
                f"{it.p50:.1f}",
                f"{it.p99:.1f}",
                f"{it.cpu:.2f}",
                f"{GOALS[what]:,}",
                f"{it.rate / GOALS[what]:.2f}",
                f"{it.rate / bare[what].rate:.2f}",
            )
    Console(width=WIDTH).print(table)
    took = asyncio.run(storing(url))
    pages = f"{BATCH_PAGES} pages of {PAGE} people"
    Console().print(f"Storing who saw {pages}: {took:.0f} ms, {took / BATCH_PAGES:.2f} ms a page")


def growth(url: str, data: Path, few: dict[str, list[str]]) -> tuple[float, float]:
    """Pages a second of the same customers: kept, and each opened anew."""
    pages = {"page": few["page"]}
    kept = _rates(url, data, pages, {}, warm_seconds=2)["page"].rate
    return kept, _rates(url, data, pages, KEEPING_NOTHING, warm_seconds=1)["page"].rate


def show_growth(pages: dict[int, tuple[float, float]]) -> None:
    table = Table(title=f"Pages of the same {FEW:,} customers, by the size of the table; medians of {ROUNDS}")
    for column in ("rows", "pages/s, kept", "of the first", "pages/s, opened anew", "of the first", "goal"):
        table.add_column(column, justify="right")
    first_kept, first_anew = pages[FEW]
    for rows, (kept, anew) in pages.items():
        of_first = f"{kept / first_kept:.2f}", f"{anew / first_anew:.2f}"
        table.add_row(f"{rows:,}", f"{kept:,.0f}", of_first[0], f"{anew:,.0f}", of_first[1], ">= 0.80")
    Console(width=WIDTH).print(table)


def searches(url: str, data: Path) -> None:
    """How long searches by part of a name take, over HTTP, one after another."""
    words = {crowd.name_of(it) for it in range(CUSTOMERS)}
    parts = [f"/v1/customers?q={it.split()[1][at : at + 7]}" for it in words for at in (0, 3)]
    random.shuffle(parts)
    with api(url, data, 1) as (port, _):
        asyncio.run(measure(port, parts, 2, connections=1))
        rounds = [asyncio.run(measure(port, parts, SECONDS, connections=1)) for _ in range(ROUNDS)]
    p50, p99 = (statistics.median(it.percentile(number) for it in rounds) for number in (50, 99))
    Console().print(
        f"Search by part of a name among {NAMED:,}, over HTTP: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        f" (medians of {ROUNDS}; {sum(it.count for it in rounds):,} searches;"
        f" goal: p99 < {SEARCH_GOAL_MS} ms, x {SEARCH_GOAL_MS / p99:.1f})"
    )


def _rates(
    url: str, data: Path, asked: dict[str, list[str]], settings: dict[str, str], *, warm_seconds: float
) -> dict[str, "Figures"]:
    """The figures of each kind of read."""
    found = {}
    for what, of_kind in asked.items():
        with patched(settings), api(url, data, PROCESSES) as (port, process):
            # A page opens fifty at once: so most of what is asked for was asked for within the last minute.
            asyncio.run(measure(port, asked["page"], warm_seconds))
            found[what] = _figures(port, process, of_kind)
    return found


def _figures(port: int, process: psutil.Process, paths: Sequence[str]) -> "Figures":
    rounds = []
    for _ in range(ROUNDS):
        before = cpu_seconds(process)
        it = asyncio.run(measure(port, paths, SECONDS))
        cpu = (cpu_seconds(process) - before) / it.count * 1000
        rounds.append((it.count / it.seconds, it.percentile(50), it.percentile(99), cpu))
    return Figures(*(statistics.median(it) for it in zip(*rounds, strict=True)))


def _rates_of_bare_route(asked: dict[str, list[str]]) -> dict[str, "Figures"]:
    """The same bytes from a FastAPI route that asks nobody and notes nothing: what HTTP alone allows."""
    with bare_routes(PROCESSES) as (port, process):
        return {what: _figures(port, process, of_kind[:1]) for what, of_kind in asked.items()}


@contextmanager
def patched(settings: dict[str, str]) -> Iterator[None]:
    """The environment with these settings, for the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def storing(url: str) -> float:
    """Milliseconds to store a batch of pages, the median of some."""
    pool = await open_pool(url, size=1)
    store = PostgresAccesses(pool)
    people = [uuid7().bytes for _ in range(CUSTOMERS)]
    took = []
    for _ in range(15):
        batch = Batch(uuid7(), [_access(people) for _ in range(BATCH_PAGES)])
        started = time.perf_counter()
        await store.append(batch)
        took.append(time.perf_counter() - started)
    await pool.close()
    return statistics.median(took) * 1000


def _access(people: Sequence[bytes]) -> Access:
    first = random.randrange(len(people) - PAGE)
    return Access(
        at=datetime.now(UTC),
        actor=uuid7(),
        operation="list_customers",
        count=PAGE,
        categories=(Category.CONTACT, Category.IDENTITY),
        subjects=packed(people[first : first + PAGE]),
    )


if __name__ == "__main__":
    main()
