"""How many pages of 50 customers, and single ones, the API shows a second: unsealed, and recorded."""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.values import CustomerKind, EmailAddress, LawfulBasis, PhoneNumber
from infra.accesslog import Access, Batch, packed
from infra.bootstrap import System, open_system
from infra.http.reading import cursor_of
from infra.postgres.accesses import PostgresAccesses
from infra.postgres.database import open_pool
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from infra.settings import Settings
from infra.work import going_on, project_and_react
from tests.benchmarks.bench_http import TOKEN, api, cpu_seconds
from tests.projections.worlds import at

CUSTOMERS: Final = int(os.environ.get("BENCH_CUSTOMERS", "100000"))
PAGE: Final = 50
MEMBERS: Final = 40
CONNECTIONS: Final = 32
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "3"))
PROCESSES: Final = 2
WARM_SECONDS: Final = float(os.environ.get("BENCH_WARM_SECONDS", "30"))
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


async def measure(port: int, paths: Sequence[str], seconds: float) -> tuple[float, float, int]:
    """Reads a second, the median latency in milliseconds, and how many."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    readers = [Reader(paths, started + seconds, loop.create_future()) for _ in range(CONNECTIONS)]
    for reader in readers:
        await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(reader.gone for reader in readers))
    took = time.perf_counter() - started
    latencies = [it for reader in readers for it in reader.latencies]
    return len(latencies) / took, statistics.median(latencies) * 1000, len(latencies)


async def fill(url: str, folder: Path) -> None:
    """Customers with names, addresses and an owner; their views built."""
    settings = Settings(data=folder, database_url=SecretStr(url))
    stop = asyncio.Event()
    async with open_system(settings) as system, going_on(project_and_react(system), stop):
        owners = [await _member(system, number) for number in range(MEMBERS)]
        last = 0
        for first in range(0, CUSTOMERS, 500):
            numbers = range(first, min(first + 500, CUSTOMERS))
            last = max(await asyncio.gather(*(_customer(system, it, owners) for it in numbers)))
        assert await system.views.wait_for(last, 600), "the views came to a stop"


async def _member(system: System, number: int) -> UUID:
    id = uuid7()
    await system.members.register(id=id, subject_id=uuid7(), name=f"Member {number}", context=at())
    return id


async def _customer(system: System, number: int, owners: Sequence[UUID]) -> int:
    id = uuid7()
    await system.customers.register(
        id=id,
        subject_id=uuid7(),
        kind=CustomerKind.PERSON,
        source="web form",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="order fulfilment",
        name=f"Person {number}",
        email=EmailAddress(f"person.{number}@example.com"),
        phone=PhoneNumber("+442079460000"),
        address="12 Long Lane, York",
        context=at(),
    )
    done = await system.customers.assign(id=id, owner_id=owners[number % MEMBERS], context=at())
    return done.position


def paths(url: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        ids = [it for (it,) in connection.execute("SELECT id FROM directory.customers ORDER BY id")]
    return {
        "page": [f"/v1/customers?limit={PAGE}&cursor={cursor_of(it)}" for it in ids[:-PAGE:PAGE]],
        "one": [f"/v1/customers/{it}" for it in ids],
    }


def main() -> None:
    """Print reads a second with two API processes, and what it costs to store who saw what."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        url = postgres.url_of("postgres")
        asyncio.run(migrate(url, namespace="main"))
        asyncio.run(fill(url, folder / "data"))
        run(url, folder / "data")


def run(url: str, data: Path) -> None:
    asked = paths(url)
    title = f"HTTP reads, unsealed and recorded, {PROCESSES} API processes, {CUSTOMERS:,} customers"
    table = Table(title=title)
    for column in ("read", "reads/s", "p50 ms", "API CPU ms/read", "goal", "x goal", "x opened anew"):
        table.add_column(column, justify="right")
    anew = _rates(url, data, asked, KEEPING_NOTHING, warm_seconds=1)
    usual = _rates(url, data, asked, {}, warm_seconds=WARM_SECONDS)
    for rates, words in ((anew, ", each opened anew"), (usual, "")):
        for what, (rate, latency, cpu) in rates.items():
            table.add_row(
                NAMES[what] + words,
                f"{rate:,.0f}",
                f"{latency:.1f}",
                f"{cpu:.2f}",
                f"{GOALS[what]:,}",
                f"{rate / GOALS[what]:.2f}",
                f"{rate / anew[what][0]:.1f}",
            )
    Console().print(table)
    took = asyncio.run(storing(url))
    pages = f"{BATCH_PAGES} pages of {PAGE} people"
    Console().print(f"Storing who saw {pages}: {took:.0f} ms, {took / BATCH_PAGES:.2f} ms a page")


def _rates(
    url: str, data: Path, asked: dict[str, list[str]], settings: dict[str, str], *, warm_seconds: float
) -> dict[str, tuple[float, float, float]]:
    """Reads a second, median latency and the API's CPU, in milliseconds, of each kind of read."""
    found = {}
    with patched(settings), api(url, data, PROCESSES) as (port, process):
        for what, of_kind in asked.items():
            asyncio.run(measure(port, of_kind, warm_seconds))
            rounds = []
            for _ in range(ROUNDS):
                before = cpu_seconds(process)
                rate, latency, count = asyncio.run(measure(port, of_kind, SECONDS))
                rounds.append((rate, latency, (cpu_seconds(process) - before) / count * 1000))
            rate, latency, cpu = (statistics.median(it) for it in zip(*rounds, strict=True))
            found[what] = rate, latency, cpu
    return found


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
