"""Row 9: the relay is killed again and again while events are appended."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest

from infra.kafka.broker import LocalBroker
from tests.streams import Writers, assert_whole, fill, logged, published

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 200 if TORTURE else 8
BACKLOG = 1_500 * ROUNDS
TAKEOVER_SECONDS_MAX = 10


@pytest.mark.broker
@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_a_relay_that_is_killed_leaves_no_hole_and_no_disorder(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row9-{uuid4().hex}"
    fill(database_url, BACKLOG)
    writers, stop = Writers(database_url, writers=2, pause_seconds=0.05), asyncio.Event()
    writing = asyncio.create_task(writers.run(stop))
    try:
        with relays(database_url, broker.address, namespace) as fleet:
            takeovers = [await fleet.kill_and_wait_for_the_next() for _ in range(ROUNDS)]
            stop.set()
            await writing
            log = logged(database_url)
            await fleet.reach(log[-1].id)
    finally:
        stop.set()
        await asyncio.gather(writing, return_exceptions=True)

    repeats = assert_whole(published(broker.address, namespace), log)
    print(
        f"\nrow 9: {ROUNDS} kills, {len(log)} events, 0 lost, 0 out of order, {repeats} delivered again; "
        f"slowest takeover {max(takeovers):.1f} s"
    )
    assert max(takeovers) < TAKEOVER_SECONDS_MAX
    # At most the batches that were in flight: all else is found on the topics.
    assert repeats <= ROUNDS * 100


class Fleet:
    """One relay that publishes and one that stands by."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.connection = psycopg.connect(arguments[0], autocommit=True)
        self.arguments = arguments
        self.members = [self._start()]
        self.chance = random.Random(9)

    async def kill_and_wait_for_the_next(self) -> float:
        """Kill the one that publishes, in the middle of it; the seconds until the next one has taken over."""
        self.members.append(self._start())
        await self._until(lambda: self._connected() == 2)
        await self.reach(self.position() + 1)
        await asyncio.sleep(self.chance.random() * 0.2)
        before = self.position()
        self.members[0].kill()
        begun = time.monotonic()
        self.members.pop(0).wait()
        await self.reach(before + 1)
        return time.monotonic() - begun

    async def reach(self, position: int) -> None:
        """Wait until the checkpoint is there."""
        await self._until(lambda: self.position() >= position)

    def position(self) -> int:
        return self._ask("SELECT coalesce(max(position), 0) FROM log.relay")

    def _connected(self) -> int:
        return self._ask(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'lethe relay' AND datname = current_database()"
        )

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it is another process that moves it
                await asyncio.sleep(0.02)

    def _ask(self, query: LiteralString) -> int:
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "tests.faults.relay_process", *self.arguments])


@contextmanager
def relays(*arguments: str) -> Iterator[Fleet]:
    fleet = Fleet(arguments)
    try:
        yield fleet
    finally:
        fleet.connection.close()
        for it in fleet.members:
            it.kill()
            it.wait()
