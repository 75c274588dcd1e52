"""Row 10: the broker is killed again and again while events are appended, published and followed."""

import asyncio
import os
import random
import time
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from infra.eventstore.reader import FencedReader
from infra.kafka.broker import LocalBroker
from infra.kafka.consumer import KafkaSource
from infra.kafka.record import topics
from infra.kafka.relay import Relay
from infra.postgres.database import open_pool
from infra.postgres.relay_lease import PostgresRelayLease
from services.ports import Unavailable
from tests.streams import Writers, assert_whole, logged, published

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 10 if TORTURE else 1


@pytest.mark.broker
@pytest.mark.timeout(1200 if TORTURE else 300)
async def test_a_broker_that_is_killed_loses_doubles_and_disorders_nothing(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row10-{uuid4().hex}"
    pool = await open_pool(database_url, size=2)
    relay = Relay(FencedReader(pool), broker.address, namespace, PostgresRelayLease(database_url))
    writers, stop, written = (
        Writers(database_url, writers=2, pause_seconds=0.05),
        asyncio.Event(),
        asyncio.Event(),
    )
    follower = Follower(broker, namespace)
    tasks = [asyncio.create_task(it) for it in (relay.run(stop), writers.run(written), follower.run(stop))]
    chance, seconds = random.Random(10), []
    try:
        for _ in range(ROUNDS):
            await reach(relay, relay.acknowledged + 200)
            await asyncio.sleep(chance.random() * 0.3)
            broker.kill()
            begun, before = time.monotonic(), relay.acknowledged
            await asyncio.to_thread(broker.start)
            await reach(relay, before + 1)
            seconds.append(time.monotonic() - begun)
        written.set()
        await tasks[1]
        log = logged(database_url)
        await reach(relay, log[-1].id)
        await follower.reach({it.id for it in log})
    finally:
        if broker.pid is None:
            broker.start()
        stop.set()
        written.set()
        await asyncio.gather(*tasks)
        await pool.close()

    repeats = assert_whole(published(broker.address, namespace), log)
    print(
        f"\nrow 10: {ROUNDS} kills of the broker, {len(log)} events, 0 lost, 0 out of order, {repeats} "
        f"delivered again; publishing {max(seconds):.1f} s after a kill at the latest; a follower got all"
    )
    assert repeats <= ROUNDS * 1_000  # what was under way, at most


class Follower:
    """A member of a consumer group, opened again whenever it cannot read."""

    def __init__(self, broker: LocalBroker, namespace: str) -> None:
        self.broker = broker
        self.namespace = namespace
        self.seen: set[int] = set()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            group = f"{self.namespace}.views"
            source = KafkaSource(self.broker.address, group, topics(self.namespace), AsStored())
            try:
                while not stop.is_set():
                    batch: list[Any] = list(await source.next(limit=500, timeout=0.2))
                    self.seen |= {it.id for it in batch}
                    await source.done()
            except Unavailable:
                await asyncio.sleep(0.2)
            finally:
                await source.close()

    async def reach(self, positions: set[int]) -> None:
        async with asyncio.timeout(120):
            while self.seen != positions:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.05)


class AsStored:
    """Leaves the events as they are."""

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        return stored_event


async def reach(relay: Relay, position: int) -> None:
    async with asyncio.timeout(120):
        while relay.acknowledged < position:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)
