"""Topics that get more partitions, on a real broker: nothing moves, new records use them all."""

import asyncio
from collections import defaultdict
from uuid import UUID, uuid4

import psycopg
import pytest

from infra.eventstore.reader import FencedReader
from infra.kafka.broker import LocalBroker
from infra.kafka.partitioning import Growth, Partitioning, partition_of
from infra.kafka.record import topics
from infra.kafka.relay import Relay
from infra.kafka.topics import CannotShrink, describe_topics, ensure_topics, grow_topics
from infra.postgres.database import open_pool
from infra.postgres.relay_lease import PostgresRelayLease
from tests.faults.test_row_10_broker_killed import Follower
from tests.streams import Writers, assert_whole, logged, published_by_partition, stored

ID = UUID(int=5)
KEY = str(ID).encode()


def test_where_nothing_has_grown_an_event_goes_where_kafkas_own_clients_would_put_it() -> None:
    partitioning = Partitioning({"main.leads": [Growth(0, 8)]})
    events = [stored(1, ID, 1), stored(900, ID, 7)]

    assert partitioning.unknown(events) == set()
    assert {partitioning.partition("main.leads", KEY, it) for it in events} == {partition_of(KEY, 8)}


def test_an_aggregate_keeps_the_partitions_that_there_were_at_its_birth() -> None:
    partitioning = Partitioning({"main.leads": [Growth(0, 2), Growth(100, 64), Growth(200, 128)]})
    before, at, between, after = (stored(it, UUID(int=it), 1) for it in (7, 100, 101, 300))

    for event, partitions in ((before, 2), (at, 2), (between, 64), (after, 128)):
        key = str(event.originator_id).encode()
        assert partitioning.partition("main.leads", key, event) == partition_of(key, partitions)
        later = stored(1_000, UUID(str(event.originator_id)), 2)
        assert partitioning.unknown([later]) == set()
        assert partitioning.partition("main.leads", key, later) == partition_of(key, partitions)
    assert partitioning.unknown([stored(1_001, ID, 2)]) == {ID}
    partitioning.learn({ID: 150})
    assert partitioning.partition("main.leads", KEY, stored(1_001, ID, 2)) == partition_of(KEY, 64)


@pytest.mark.broker
async def test_topics_grow_under_load_and_each_record_stays_in_one_partition_in_order(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"grow-{uuid4().hex}"
    writers, stop, written = Writers(database_url, records=20_000), asyncio.Event(), asyncio.Event()
    pool = await open_pool(database_url, size=2)
    relay = relay_to(broker, namespace, database_url, FencedReader(pool))
    follower = Follower(broker, namespace)
    tasks = [asyncio.create_task(it) for it in (relay.run(stop), writers.run(written), follower.run(stop))]
    try:
        await until_acknowledged(relay, 300)
        grow_topics(broker.address, describe_topics(broker.address, topics(namespace)), 12)
        grown_at = await until_recorded(database_url, 12)
        await until_acknowledged(relay, grown_at + 600)
        written.set()
        await tasks[1]
        log = logged(database_url)
        await until_acknowledged(relay, log[-1].id)
        await follower.reach({it.id for it in log})
        stop.set()
        await tasks[0]
        await repeat_from_the_start(relay, database_url, log[-1].id)
    finally:
        stop.set()
        written.set()
        await asyncio.gather(*tasks)
        await pool.close()

    held = published_by_partition(broker.address, namespace)
    assert assert_whole([it for events in held.values() for it in events], log) == 0
    places = defaultdict(set)
    for partition, events in held.items():
        for it in events:
            places[it.originator_id].add(partition)
    assert {len(it) for it in places.values()} == {1}
    assert any(partition.partition >= 8 for (partition,) in places.values())


def relay_to(broker: LocalBroker, namespace: str, url: str, reader: FencedReader) -> Relay:
    lease = PostgresRelayLease(url)
    return Relay(reader, broker.address, namespace, lease, chunk_events_max=100, growth_seconds=0.2)


async def repeat_from_the_start(relay: Relay, url: str, position: int) -> None:
    """Lose the checkpoint: it has to find out from the topics, old partitions and new."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE log.relay SET position = 0")
    relay.acknowledged = 0
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    await until_acknowledged(relay, position)
    stop.set()
    await task


async def until_acknowledged(relay: Relay, position: int) -> None:
    async with asyncio.timeout(60):
        while relay.acknowledged < position:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)


async def until_recorded(url: str, partitions: int) -> int:
    """From which position on there are so many, once the relay has taken them up."""
    async with asyncio.timeout(60), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT max(from_position) FROM log.partitions WHERE partitions = %s", [partitions]
            )
            if (row := await cursor.fetchone()) and row[0] is not None:
                return int(row[0])
            await asyncio.sleep(0.05)


@pytest.mark.broker
def test_topics_do_not_shrink(broker: LocalBroker) -> None:
    namespace = f"grow-{uuid4().hex}"
    ensure_topics(broker.address, topics(namespace), partitions=3)

    with pytest.raises(CannotShrink):
        grow_topics(broker.address, describe_topics(broker.address, topics(namespace)), 2)

    assert {it.partitions for it in describe_topics(broker.address, topics(namespace))} == {3}
