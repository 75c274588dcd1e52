"""The relay on a real broker: everything once acknowledged is there, in order, whoever publishes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import Notification
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from infra.bootstrap import open_system
from infra.kafka.broker import LocalBroker
from infra.kafka.delivery import PublishFailed
from infra.kafka.partitioning import partition_of
from infra.kafka.publisher import ForeignStream, Publisher, read_tails
from infra.kafka.record import topics
from infra.kafka.relay import Relay
from infra.kafka.topics import ensure_topics
from infra.metrics import metrics
from infra.postgres.relay_lease import PostgresRelayLease
from infra.settings import load
from infra.status import status, warnings
from tests.streams import ListedLog, assert_whole, published, stored, stored_events

pytestmark = pytest.mark.broker


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid4().hex}"


@pytest.fixture
def relay(broker: LocalBroker, namespace: str, database_url: str) -> Callable[[ListedLog], Relay]:
    """Makes relays that share a lease's database and a namespace."""
    return lambda log: Relay(log, broker.address, namespace, PostgresRelayLease(database_url))


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(it.run(stop)) for it in relays]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def until(condition: Callable[[], bool], seconds: float = 30) -> float:
    """Wait for the condition; the seconds it took."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it watches has no event
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def test_everything_appended_arrives_each_record_in_order(
    relay: Callable[[ListedLog], Relay], broker: LocalBroker, namespace: str
) -> None:
    log = ListedLog(stored_events(3_000, records=50))
    one = relay(log)
    async with running(one):
        await until(lambda: one.acknowledged == 3_000)
        log.append(stored_events(500, records=50, first=3_001))
        await until(lambda: one.acknowledged == 3_500)
        assert await one.positions_behind() == 0

    assert assert_whole(published(broker.address, namespace), log.events) == 0


async def test_a_second_relay_stands_by_and_takes_over_when_the_first_loses_its_connection(
    relay: Callable[[ListedLog], Relay], broker: LocalBroker, namespace: str, database_url: str
) -> None:
    log = ListedLog(stored_events(100, records=10))
    first, second = relay(log), relay(log)
    async with running(first):
        await until(lambda: first.acknowledged == 100)
        async with running(second):
            await asyncio.sleep(1.5)
            assert (first.leading, second.leading) == (True, False)
            stop_first_from_coming_back = first.lease.acquire
            first.lease.acquire = never  # type: ignore[method-assign]
            end_the_holder(database_url)
            seconds = await until(lambda: second.leading and not first.leading)
            log.append(stored_events(100, records=10, first=101))
            await until(lambda: second.acknowledged == 200)
            first.lease.acquire = stop_first_from_coming_back  # type: ignore[method-assign]

    print(f"\ntaken over after {seconds:.1f} s")
    assert seconds < 10
    assert assert_whole(published(broker.address, namespace), log.events) == 0


async def never() -> bool:
    return False


def end_the_holder(url: str) -> None:
    """End the server's side of the connection that holds the lease."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
        ).fetchall()
    assert ended == [(True,)]


async def test_a_relay_whose_checkpoint_lags_asks_the_topics_and_repeats_nothing(
    relay: Callable[[ListedLog], Relay], broker: LocalBroker, namespace: str, database_url: str
) -> None:
    log = ListedLog(stored_events(1_000, records=40))
    one = relay(log)
    async with running(one):
        await until(lambda: one.acknowledged == 1_000)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE log.relay SET position = 10")
    log.append(stored_events(100, records=40, first=1_001))
    again = relay(log)
    async with running(again):
        await until(lambda: again.acknowledged == 1_100)

    assert assert_whole(published(broker.address, namespace), log.events) == 0


async def test_topics_made_anew_are_filled_from_the_start_whatever_the_checkpoint_says(
    relay: Callable[[ListedLog], Relay], broker: LocalBroker, namespace: str
) -> None:
    log = ListedLog(stored_events(300, records=10))
    one = relay(log)
    async with running(one):
        await until(lambda: one.acknowledged == 300)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_topics([f"{namespace}.leads"])
    admin.close()
    again = relay(log)
    async with running(again):
        await until(lambda: again.acknowledged == 300)

    # The other topics still have theirs, and got nothing twice.
    assert assert_whole(published(broker.address, namespace), log.events) == 0


async def test_topics_of_another_log_are_refused_and_that_is_shown_until_it_is_settled(
    relay: Callable[[ListedLog], Relay], database_url: str
) -> None:
    log = stored_events(50, records=5)
    one = relay(ListedLog(log))
    async with running(one):
        await until(lambda: one.acknowledged == 50)
    assert faults(database_url) == [None]

    restored_from_an_older_backup = relay(ListedLog(log[:20]))
    with pytest.raises(ForeignStream):
        await restored_from_an_older_backup.run(asyncio.Event())
    assert faults(database_url) == ["the topics go up to position 50, the log does not"]

    settled = relay(ListedLog(log))
    async with running(settled):
        await until(lambda: faults(database_url) == [None])


def faults(url: str) -> list[str | None]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT fault FROM log.relay").fetchall()]


async def test_a_relay_at_fault_is_seen_by_who_asks_the_api(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO log.relay (place, position, updated_at, fault) VALUES"
            " ('left long ago', 5, now() - interval '1 year', 'old'), ('here', 7, now(), 'another log''s')"
        )
        settings = load(database_url=database_url, data=str(tmp_path), kafka="127.0.0.1:1")
        async with open_system(settings) as system:
            assert (await warnings(system))["relay"] == "another log's"
            assert {it.name: it.fault for it in (await status(system)).relay}["here"] == "another log's"
            assert b'lethe_relay_fault{relay="here"} 1.0' in await metrics(system)
            connection.execute("UPDATE log.relay SET fault = NULL WHERE place = 'here'")
            assert "relay" not in await warnings(system)


def test_an_event_that_differs_from_the_one_on_the_topic_is_refused(
    broker: LocalBroker, namespace: str
) -> None:
    publish(broker, namespace, [stored(1, UUID(int=1), 1)])

    with pytest.raises(ForeignStream):
        publish(broker, namespace, [stored(1, UUID(int=1), 1)])


def test_after_a_failed_batch_nothing_queued_behind_it_goes_out(broker: LocalBroker, namespace: str) -> None:
    record = UUID(int=1)
    log = [stored(it, record, it) for it in range(1, 3_001)]
    publisher = Publisher(broker.address, namespace)
    publisher.send(publisher.prepare(log[:10]))
    lose_count_of_what_was_sent(publisher, f"{namespace}.leads", record)
    try:
        publish_and_fail(publisher, log[10:])
        publish_and_fail(publisher, log[20:])
        versions = [it.originator_version for it in published(broker.address, namespace)]
    finally:
        publisher.close()
    assert versions == list(range(1, 11))

    publish(broker, namespace, log)

    assert assert_whole(published(broker.address, namespace), log) == 0


def lose_count_of_what_was_sent(publisher: Publisher, topic: str, record: UUID) -> None:
    """The broker will find a gap in the producer's numbers and refuse the next batch."""
    partition = partition_of(str(record).encode(), 8)
    publisher._delivery._sequences[TopicPartition(topic, partition)] = 99


def test_a_record_that_the_broker_refuses_stops_the_publisher_before_the_next(
    broker: LocalBroker, namespace: str
) -> None:
    ensure_topics(broker.address, topics(namespace))
    limit_bytes(broker, f"{namespace}.leads", 10_000)
    record = UUID(int=1)
    publisher = Publisher(broker.address, namespace)
    publisher.send(publisher.prepare([stored(1, record, 1)]))
    large = stored(2, record, 2)
    large = Notification(record, 2, large.topic, large.state.replace(b"EUR", b"E" * 20_000), 2)
    try:
        publish_and_fail(publisher, [large, *(stored(it, record, it) for it in range(3, 2_000))])
        assert [it.originator_version for it in published(broker.address, namespace)] == [1]
    finally:
        publisher.close()


def test_tails_are_the_last_event_of_each_partition(broker: LocalBroker, namespace: str) -> None:
    log = [stored(1, UUID(int=1), 1), stored(2, UUID(int=2), 1), stored(3, UUID(int=1), 2)]
    publish(broker, namespace, log)

    tails = read_tails(broker.address, topics(namespace))

    at = {it: (f"{namespace}.leads", partition_of(str(UUID(int=it)).encode(), 8)) for it in (1, 2)}
    assert {it: tails[at[it]].position for it in at} == {1: 3, 2: 2}


def test_topics_are_made_once_and_keep_everything(broker: LocalBroker, namespace: str) -> None:
    place = ensure_topics(broker.address, topics(namespace))

    assert ensure_topics(broker.address, topics(namespace)) == place
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    described = admin.describe_topics(topics(namespace))
    configs = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, f"{namespace}.leads")])
    admin.close()
    assert {len(it["partitions"]) for it in described} == {8}
    assert "retention.ms" in str(configs)


def publish_and_fail(publisher: Publisher, events: Sequence[Notification]) -> None:
    with pytest.raises(PublishFailed):
        publisher.send(publisher.prepare(events))


def publish(broker: LocalBroker, namespace: str, events: Sequence[Notification]) -> None:
    publisher = Publisher(broker.address, namespace)
    try:
        publisher.send(publisher.prepare(events))
    finally:
        publisher.close()


def limit_bytes(broker: LocalBroker, topic: str, limit: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(limit)})])
    admin.close()
