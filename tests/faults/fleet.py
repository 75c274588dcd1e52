"""Relays in processes of their own, and what the brokers' files say of who published."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
from kafka.record import MemoryRecords

from infra.kafka.broker import LocalBroker

Process = subprocess.Popen[bytes]
STOPPED = "T"


class Fleet:
    """Relays of one namespace, the first of them publishing. Arguments: see `relay_process`."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.connection = psycopg.connect(arguments[0], autocommit=True)
        self.arguments = arguments
        self.members: list[Process] = []

    def start(self) -> Process:
        """One more, which stands by if another publishes."""
        self.members.append(
            subprocess.Popen([sys.executable, "-m", "tests.faults.relay_process", *self.arguments])
        )
        return self.members[-1]

    async def connected(self, number: int) -> None:
        """Wait until so many hold the lease, or wait for it."""
        await self.until(
            lambda: (
                self._ask(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'lethe relay %' AND datname = current_database()"
                )
                == number
            )
        )

    def leader(self) -> int:
        """Which of the members has the lease."""
        pid = self._ask(
            "SELECT split_part(application_name, ' ', 3)::integer"
            " FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
            " AND application_name LIKE 'lethe relay %'"
        )
        return [it.pid for it in self.members].index(pid)

    async def reach(self, position: int) -> None:
        """Wait until the checkpoint is there."""
        await self.until(lambda: self.position() >= position)

    def position(self) -> int:
        """The checkpoint."""
        return self._ask("SELECT coalesce(max(position), 0) FROM log.relay")

    async def stop_at_the_worst_moment(self, process: Process) -> None:
        """Have it stop between making sure that it may publish and doing so."""
        process.send_signal(signal.SIGUSR1)
        await self.until(lambda: _state(process) == STOPPED)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it is another process that moves it
                await asyncio.sleep(0.02)

    def _ask(self, query: LiteralString) -> int:
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def fleet_of(*arguments: str) -> Iterator[Fleet]:
    """A fleet; whoever is left is killed at the end."""
    fleet = Fleet(arguments)
    try:
        yield fleet
    finally:
        fleet.connection.close()
        for it in fleet.members:
            it.kill()
            it.wait()


def epochs(broker: LocalBroker, namespace: str) -> dict[str, list[int]]:
    """The producer's epoch of each batch in each partition, in the order of the partition."""
    found: dict[str, list[int]] = {}
    for folder in sorted((broker.folder / "log").glob(f"{namespace}.*")):
        written = b"".join(it.read_bytes() for it in sorted(folder.glob("*.log")))
        found[folder.name] = [it.producer_epoch for it in MemoryRecords(written)]
    return found


def assert_one_at_a_time(found: dict[str, list[int]]) -> int:
    """In no partition does anybody publish once a later one has; how many have published in all."""
    for name, numbers in found.items():
        assert numbers == sorted(numbers), f"{name}: {numbers}"
    return len({it for numbers in found.values() for it in numbers})


def _state(process: Process) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
