"""Row 17: the projector is killed again and again while events are appended."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.kafka.broker import LocalBroker
from infra.kafka.relay import Relay
from infra.postgres.relay_lease import PostgresRelayLease
from tests.projections.test_rebuild import ask, rebuild_all, some_business
from tests.projections.worlds import World, postgres_world

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 50 if TORTURE else 2
SECONDS_MAX = 60


@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_a_projector_that_is_killed_leaves_every_view_equal_to_a_rebuild(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await survive(world, "project", database_url)


@pytest.mark.broker
@pytest.mark.skipif(not TORTURE, reason="the long form: views fed from Kafka")
@pytest.mark.timeout(1800)
async def test_one_that_is_fed_from_kafka_neither(database_url: str, broker: LocalBroker) -> None:
    namespace, stop = "row17", asyncio.Event()
    async with postgres_world(database_url, projecting=False) as world:
        relay = Relay(world.reader, broker.address, namespace, PostgresRelayLease(database_url))
        relaying = asyncio.create_task(relay.run(stop))
        try:
            await survive(world, "project", database_url, broker.address, namespace)
        finally:
            stop.set()
            await relaying


async def survive(world: World, role: str, url: str, *kafka: str) -> None:
    """Kill the projector so many times in the middle of its work, and let the last one finish."""
    chance = random.Random(17)
    arguments = [role, url, world.blind._key.secret.hex(), *kafka]
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await some_business(world, 5)

    writing = [asyncio.create_task(write()) for _ in range(4 if TORTURE else 1)]
    try:
        for _ in range(ROUNDS):
            before = await shown(world)
            with process(*arguments):
                await until(world, before + 1)
                await asyncio.sleep(chance.random() * 0.1)
    finally:
        stop.set()
        await asyncio.gather(*writing)
    with process(*arguments):
        await world.settle()
    reports = await rebuild_all(world)
    assert {it.view: it.equal for it in reports} == {it.view: True for it in reports}
    assert await ask(world, "SELECT * FROM views.dead_letters") == []
    events = await shown(world)
    print(f"\nrow 17: {ROUNDS} kills, {events} events, every view equal to a rebuild, row for row")


async def shown(world: World) -> int:
    ((count,),) = await ask(world, "SELECT count(*) FROM timeline.entries")
    return int(count)


async def until(world: World, count: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while await shown(world) < count:  # noqa: ASYNC110 - it is another process that moves it
            await asyncio.sleep(0.02)


@contextmanager
def process(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """A process that is killed at the end of the block."""
    it = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.view_process", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield it
    finally:
        it.kill()
        it.wait()
        assert it.stdout is not None
        it.stdout.close()
