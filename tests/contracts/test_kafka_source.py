"""A member of a consumer group as a source of events, on a real broker."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import Notification
from kafka import TopicPartition

from infra.eventstore.mapper import EventMapper
from infra.kafka.broker import LocalBroker
from infra.kafka.consumer import KafkaSource
from infra.kafka.publisher import Publisher
from infra.kafka.record import to_record, topics
from services.ports import Recorded, Unavailable
from tests.streams import stored_events

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

MAPPER = EventMapper("main")
TORTURE = os.environ.get("LETHE_TORTURE") == "1"
JOINS = 60 if TORTURE else 2
LOG = stored_events(2_000, records=40, kinds=["lead.qualified"])


@pytest.fixture
def namespace(broker: LocalBroker) -> str:
    """A namespace whose topics hold LOG."""
    namespace = f"test-{uuid4().hex}"
    publish(broker, namespace, LOG)
    return namespace


@pytest.fixture
def source(broker: LocalBroker, namespace: str) -> Callable[[], KafkaSource]:
    """Makes members of one group."""
    return lambda: KafkaSource(broker.address, f"{namespace}-views", topics(namespace), MAPPER)


@asynccontextmanager
async def member(make: Callable[[], KafkaSource]) -> AsyncIterator[KafkaSource]:
    it = make()
    try:
        yield it
    finally:
        await it.close()


async def take(source: KafkaSource, count: int, *, limit: int = 500) -> list[Recorded]:
    """At least so many events, each batch done."""
    taken: list[Recorded] = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            taken += await source.next(limit=limit, timeout=0.5)
            await source.done()
    return taken


def publish(broker: LocalBroker, namespace: str, events: Sequence[Notification]) -> None:
    publisher = Publisher(broker.address, namespace)
    try:
        publisher.send(publisher.prepare(events))
    finally:
        publisher.close()


def positions(events: Sequence[Recorded]) -> list[int]:
    return sorted(it.position for it in events)


def versions(events: Sequence[Recorded], record: UUID) -> list[int]:
    return [it.originator_version for it in events if it.originator_id == record]


async def test_every_event_is_handed_out_as_the_log_has_it_each_record_in_order(
    source: Callable[[], KafkaSource],
) -> None:
    async with member(source) as one:
        taken = await take(one, len(LOG))
        assert await one.next(limit=10, timeout=0.2) == []

    assert sorted(taken, key=lambda it: it.position) == [MAPPER.to_domain_event(it) for it in LOG]
    for record in {it.originator_id for it in taken}:
        assert versions(taken, record) == list(range(1, 51))


async def test_a_batch_is_no_longer_than_asked_for(source: Callable[[], KafkaSource]) -> None:
    async with member(source) as one:
        async with asyncio.timeout(30):
            while not (batch := await one.next(limit=7, timeout=0.5)):
                pass
    assert 0 < len(batch) <= 7


async def test_the_group_goes_on_after_what_was_done_and_repeats_what_was_not(
    source: Callable[[], KafkaSource],
) -> None:
    async with member(source) as first:
        done = await take(first, 600, limit=200)
        handed_out = await first.next(limit=200, timeout=5)
        assert handed_out

    async with member(source) as second:
        rest = await take(second, len(LOG) - len(done))

    assert set(positions(handed_out)) <= set(positions(rest))
    assert positions([*done, *rest]) == positions_of_log()


def positions_of_log() -> list[int]:
    return [it.id for it in LOG]


async def test_a_cancelled_wait_loses_nothing(source: Callable[[], KafkaSource]) -> None:
    taken: list[Recorded] = []
    async with member(source) as one:
        async with asyncio.timeout(60):
            while len(taken) < len(LOG):
                try:
                    async with asyncio.timeout(0.05):
                        taken += await one.next(limit=100, timeout=5)
                except TimeoutError:
                    continue
                await one.done()

    assert positions(taken) == positions_of_log()


async def test_members_that_come_and_go_miss_nothing(
    source: Callable[[], KafkaSource], broker: LocalBroker, namespace: str
) -> None:
    more = stored_events(2_000, records=40, first=2_001, kinds=["lead.qualified"])
    taken: list[Recorded] = []
    by_member = [0, 0]

    async def follow(number: int, one: KafkaSource, until: Callable[[], bool]) -> None:
        while not until():
            batch = await one.next(limit=20, timeout=0.2)
            taken.extend(batch)
            by_member[number] += len(batch)
            await asyncio.sleep(0.05)  # so that rebalances begin while batches are in hand
            await one.done()

    def complete() -> bool:
        return len({it.position for it in taken}) == len(LOG) + len(more)

    async with asyncio.timeout(90), member(source) as stays:
        staying = asyncio.create_task(follow(0, stays, complete))
        publishing = asyncio.create_task(asyncio.to_thread(publish, broker, namespace, more))
        async with member(source) as leaves:
            await follow(1, leaves, lambda: by_member[1] >= 300)
        await publishing
        await staying

    print(f"\n{len(taken) - len(LOG) - len(more)} of {len(taken)} handed out again; by member {by_member}")
    for record in {it.originator_id for it in taken}:
        first_time = list(dict.fromkeys(versions(taken, record)))
        assert first_time == list(range(1, 101))


async def test_a_member_joins_though_the_broker_falters_meanwhile(
    source: Callable[[], KafkaSource], broker: LocalBroker
) -> None:
    chance, seconds = random.Random(7), []
    for _ in range(JOINS):
        joined = asyncio.Event()
        faltering = asyncio.create_task(falter(broker, chance, joined))
        begun = time.monotonic()
        try:
            async with asyncio.timeout(90), member(source) as one:
                while not one.partitions():
                    # So short that it runs out in the middle of a join.
                    await one.next(limit=1, timeout=0.05)
                seconds.append(time.monotonic() - begun)
        finally:
            joined.set()
            await faltering
    print(f"\n{JOINS} joins while the broker falters: {max(seconds):.1f} s at the most")
    assert not TORTURE or max(seconds) < 15


async def falter(broker: LocalBroker, chance: random.Random, until: asyncio.Event) -> None:
    """Have the broker stop for up to 0.6 s, again and again."""
    while not until.is_set():
        broker.pause()
        await asyncio.sleep(chance.random() * 0.6)
        broker.resume()
        await asyncio.sleep(chance.random() * 0.4)


async def test_without_a_broker_the_source_is_unavailable() -> None:
    async with member(lambda: KafkaSource("127.0.0.1:1", "views", topics("main"), MAPPER)) as nowhere:
        with pytest.raises(Unavailable):
            await nowhere.next(limit=1, timeout=0.1)


class Broken:
    """kafka-python's consumer whose transport closes while a commit is written to it."""

    closed = False

    def poll(self, **_: Any) -> Any:
        record = to_record(LOG[0], "main")
        it = SimpleNamespace(
            topic=record.topic, partition=0, offset=0, value=record.value, headers=record.headers
        )
        return {TopicPartition(record.topic, 0): [it]}

    def group_metadata(self) -> Any:
        return SimpleNamespace(state="stable")

    def commit(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("Transport closed for writes")

    def close(self, **_: Any) -> None:
        self.closed = True


async def test_a_member_whose_last_commit_fails_leaves_the_group_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Broken()
    monkeypatch.setattr("infra.kafka.consumer.COMMIT_SECONDS", float("inf"))
    monkeypatch.setattr(KafkaSource, "_open", lambda self: broken)
    source = KafkaSource("127.0.0.1:1", "views", topics("main"), MAPPER)
    assert await source.next(limit=1, timeout=0.1)
    await source.done()
    with pytest.raises(RuntimeError):
        await source.close()
    assert broken.closed
