"""How long after its answer a command shows in the views, at half of the load that all of it can bear.

Directly from the log (`lethe project`), and over Kafka (`lethe relay` and `lethe project`): the commands that
are run in production, each a process of its own, beside the one that writes.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from infra.bootstrap import System, open_system
from infra.eventloop import run
from infra.kafka.broker import LocalBroker, obstacle
from infra.postgres.embedded import EmbeddedPostgres
from infra.settings import load
from tests.eventlogs import registrations

FULL_COMMANDS: Final = int(os.environ.get("BENCH_COMMANDS", "10000"))
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "10"))
WRITERS: Final = 32
TICK_SECONDS: Final = 0.005
LOOK_SECONDS: Final = 0.001
GIVE_UP_SECONDS: Final = 60.0
GOALS_MS: Final = {"directly from the log": 50.0, "over Kafka": 150.0}
SHOWN: Final = b"SELECT position FROM timeline.entries WHERE position = ANY (%s)"


class Watch:
    """Looks for the events that were answered, and notes how long each took to show."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.answered: dict[int, float] = {}
        self.took: list[float] = []

    def note(self, position: int) -> None:
        self.answered[position] = time.perf_counter()

    async def look(self) -> None:
        """Until cancelled, all the time."""
        async with self.system.pool.connection() as connection:
            while True:
                if self.answered:
                    cursor = await connection.execute(SHOWN, [list(self.answered)])
                    shown, now = await cursor.fetchall(), time.perf_counter()
                    self.took += [now - self.answered.pop(position) for (position,) in shown]
                await asyncio.sleep(LOOK_SECONDS)

    async def settled(self) -> None:
        """Once everything shows."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while self.answered:  # noqa: ASYNC110 - nobody sends word
                await asyncio.sleep(LOOK_SECONDS)


async def full(system: System, watch: Watch) -> float:
    """Commands a second, from the first one sent until the last one shows."""
    waiting = iter(registrations(FULL_COMMANDS))

    async def writer() -> None:
        for commit in waiting:
            watch.note((await system.store.append(commit)).position)

    began = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(WRITERS)))
    await watch.settled()
    return FULL_COMMANDS / (time.perf_counter() - began)


async def half(system: System, watch: Watch, rate: float) -> None:
    """As many commands a second, whatever becomes of those before."""
    commits = registrations(int(rate * SECONDS))

    async def one(number: int) -> None:
        watch.note((await system.store.append(commits[number])).position)

    sent: list[asyncio.Task[None]] = []
    began = time.perf_counter()
    while len(sent) < len(commits):
        due = min(len(commits), int((time.perf_counter() - began) * rate) + 1)
        sent += [asyncio.create_task(one(number)) for number in range(len(sent), due)]
        await asyncio.sleep(TICK_SECONDS)
    await asyncio.gather(*sent)
    await watch.settled()


async def measure(url: str, folder: Path) -> tuple[float, list[float]]:
    """The full rate, and the seconds of each command at half of it."""
    async with open_system(load(database_url=url, data=folder)) as system:
        watch = Watch(system)
        looking = asyncio.create_task(watch.look())
        try:
            await half(system, watch, 100)  # warm, and everybody there
            rate = await full(system, watch)
            watch.took.clear()
            await half(system, watch, rate / 2)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        return rate, sorted(watch.took)


@contextmanager
def command(name: str, url: str, folder: Path, kafka: str | None) -> Iterator[None]:
    """A process of the product's, while the block runs."""
    settings = {"LETHE_DATABASE_URL": url, "LETHE_DATA": str(folder)}
    if kafka is not None:
        settings["LETHE_KAFKA"] = kafka
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", name], env=os.environ | settings, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


async def _founded(url: str, folder: Path) -> None:
    async with open_system(load(database_url=url, data=folder)):
        return


def main() -> None:
    """Print both ways against their goals."""
    table = Table(title=f"from a command's answer to the views ({os.cpu_count()} CPUs)")
    for heading in ("way", "full load, commands/s", "median ms", "99 % ms", "worst ms", "goal"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way, goal in GOALS_MS.items():
        if way == "over Kafka" and (why := obstacle()) is not None:
            print(f"not over Kafka: {why}")
            continue
        with tempfile.TemporaryDirectory(prefix="lethe-bench-") as name, ExitStack() as stack:
            folder = Path(name)
            folder.chmod(0o755)
            url = stack.enter_context(EmbeddedPostgres(folder / "postgres")).url
            run(_founded(url, folder))
            kafka = None
            if way == "over Kafka":
                kafka = stack.enter_context(LocalBroker(folder / "broker")).address
                stack.enter_context(command("relay", url, folder, kafka))
            stack.enter_context(command("project", url, folder, kafka))
            rate, took = run(measure(url, folder))
        high = took[int(len(took) * 0.99)] * 1_000
        verdict = f"< {goal:g}: {'reached' if high < goal else 'MISSED'}"
        cells = (statistics.median(took) * 1_000, high, took[-1] * 1_000)
        table.add_row(way, f"{rate:,.0f}", *(f"{it:.1f}" for it in cells), verdict)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
