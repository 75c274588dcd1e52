"""Row 16: every record is delivered twice, the partitions interleaved at random, by a real broker."""

import asyncio
import os
import random
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from infra.kafka.broker import LocalBroker
from infra.kafka.consumer import KafkaSource
from infra.kafka.record import to_record, topics
from infra.kafka.topics import ensure_topics
from infra.postgres.views.tables import VIEWS
from infra.projector import KAFKA, Projector
from infra.undecoded import TolerantDecoder
from services.ports import EventSource, Recorded
from tests.projections.test_projector import interleaved, log_of
from tests.projections.test_rebuild import ask, rebuild_all, some_business
from tests.projections.worlds import World, postgres_world

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
RECORDS = 1_000 if TORTURE else 10
SECONDS_MAX = 600 if TORTURE else 60


class Uneven:
    """A member of the group that hands out as few or as many at once as chance will have it."""

    def __init__(self, source: KafkaSource, chance: random.Random) -> None:
        self.source = source
        self.chance = chance
        self.handed_out = 0

    async def next(self, *, limit: int, timeout: float) -> Any:
        page = await self.source.next(limit=self.chance.choice((1, 7, 60, limit)), timeout=timeout)
        self.handed_out += len(page)
        return page

    async def done(self) -> None:
        await self.source.done()


@pytest.mark.broker
@pytest.mark.timeout(1200 if TORTURE else 300)
async def test_records_delivered_twice_and_partitions_interleaved_change_nothing(
    database_url: str, broker: LocalBroker
) -> None:
    namespace, chance = f"row16-{uuid4().hex[:8]}", random.Random(16)
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, RECORDS)
        log = await log_of(world)
        await asyncio.to_thread(deliver, broker.address, namespace, await stored(world, log, chance))
        members: list[Uneven] = []

        @asynccontextmanager
        async def source() -> Any:
            decoder = TolerantDecoder(world.mapper)
            group = KafkaSource(broker.address, f"{namespace}.views", topics(namespace), decoder)
            members.append(Uneven(group, chance))
            try:
                member: EventSource = members[-1]
                yield member
            finally:
                await group.close()

        stop = asyncio.Event()
        projecting = [
            asyncio.create_task(Projector(source, world.store, name=KAFKA).run(stop)) for _ in range(2)
        ]
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while (  # noqa: ASYNC110 - it is the broker that delivers
                    sum(it.handed_out for it in members) < 2 * len(log) or not await all_shown(world, log)
                ):
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await asyncio.gather(*projecting)
        assert await ask(world, "SELECT * FROM views.dead_letters") == []
        assert [it.equal for it in await rebuild_all(world)] == [True] * len(VIEWS)
        print(f"\nrow 16: {len(log)} events, each delivered twice at random: every view equal to a rebuild")


async def stored(world: World, log: list[Recorded], chance: random.Random) -> list[Any]:
    """The stored events, each twice, the records shuffled into each other."""
    by_position = {it.id: it for it in await world.reader.read(0, 10 * len(log))}
    return [by_position[it.position] for it in interleaved(log, chance)]


def deliver(address: str, namespace: str, events: list[Any]) -> None:
    """Put them on the topics in this order."""
    ensure_topics(address, topics(namespace))
    producer = KafkaProducer(bootstrap_servers=address, acks="all", metrics_enabled=False)
    try:
        for it in events:
            record = to_record(it, namespace)
            producer.send(record.topic, key=record.key, value=record.value, headers=list(record.headers))
        producer.flush(60)
    finally:
        producer.close()


async def all_shown(world: World, log: list[Recorded]) -> bool:
    return await ask(world, "SELECT count(*) FROM timeline.entries") == [(len(log),)]
