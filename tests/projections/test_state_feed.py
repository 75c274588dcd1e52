"""The newest state of every record, on compacted topics: from real views, on a real broker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from jsonschema import Draft202012Validator
from kafka import KafkaConsumer, TopicPartition
from uuid_utils.compat import uuid7

from domain.values import CustomerKind, EmailAddress, LawfulBasis, RestrictionCause
from infra.audit.lease import AdvisoryLease
from infra.kafka.broker import LocalBroker
from infra.kafka.record import state_topic
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.staterows import PostgresStateRows
from infra.projector import Projector, following_log
from infra.statefeed import StateFeed
from infra.stateforms import SCHEMAS
from infra.subjects import Subjects
from services.restrictions import Restrictions
from tests.projections.worlds import World, at, meanwhile, postgres_world

pytestmark = pytest.mark.broker
States = dict[UUID, dict[str, Any] | None]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with postgres_world(database_url) as it:
        yield it


@asynccontextmanager
async def feeding(world: World, url: str, broker: LocalBroker, namespace: str) -> AsyncIterator[None]:
    assert world.pool is not None
    feed = StateFeed(
        AdvisoryLease(url, "state feed", 77),
        world.reader,
        world.mapper,
        PostgresStateRows(world.pool),
        world.ring,
        broker.address,
        namespace,
        ["customers", "leads"],
    )
    async with meanwhile(feed.run):
        yield


async def states(world: World, broker: LocalBroker, namespace: str, view: str, until: int) -> States:
    """The newest state of each record, once all up to this position is published."""
    await fed(world, until)
    return await asyncio.to_thread(_states, broker.address, namespace, view)


async def fed(world: World, until: int) -> None:
    """Wait until the feed has written down that it came so far."""
    assert world.pool is not None
    query = "SELECT FROM log.state_feeds WHERE position >= %s"
    async with asyncio.timeout(60), world.pool.connection() as connection:
        while await (await connection.execute(query, [until])).fetchone() is None:  # noqa: ASYNC110 - its own
            await asyncio.sleep(0.05)


def _states(address: str, namespace: str, view: str) -> States:
    topic = state_topic(namespace, view)
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metrics_enabled=False,
    )
    try:
        partitions = [TopicPartition(topic, it) for it in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        deadline = time.monotonic() + 60
        found: States = {}
        while any(consumer.position(it) < end for it, end in ends.items()):
            assert time.monotonic() < deadline, f"not all of {topic} came"
            for records in consumer.poll(timeout_ms=200).values():
                for it in records:
                    found[UUID(it.key.decode())] = state = None if it.value is None else json.loads(it.value)
                    assert dict(it.headers)["lethe_dataschema"].decode() == SCHEMAS[view]["$id"]
                    assert state is None or Draft202012Validator(SCHEMAS[view]).is_valid(state)
        return found
    finally:
        consumer.close()


async def customer(world: World, name: str) -> tuple[UUID, UUID]:
    id, subject_id = uuid7(), uuid7()
    await world.customers.register(
        id=id,
        subject_id=subject_id,
        kind=CustomerKind.PERSON,
        source="letter",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="orders",
        name=name,
        email=EmailAddress("maya@example.com"),
        context=at(),
    )
    return id, subject_id


async def test_states_follow_the_views_and_an_erased_persons_become_tombstones(
    world: World, database_url: str, broker: LocalBroker
) -> None:
    namespace = f"states-{uuid4().hex[:8]}"
    id, subject_id = await customer(world, "Maya Brandt")
    other, _ = await customer(world, "Tom")
    await world.settle()
    async with feeding(world, database_url, broker, namespace):
        first = await states(world, broker, namespace, "customers", 2)
        maya = first[id]
        assert maya is not None
        assert maya["name"] == {"category": "identity", "position": 1, "field": "name"}
        assert (maya["purpose"], maya["version"], maya["restricted"]) == ("orders", 1, False)
        assert "box" not in str(first)
        assert "Maya" not in str(first)

        await world.customers.segment(id=id, segment="gold", context=at())
        await world.erase(subject_id)
        marker, _ = await customer(world, "Ida")
        [last] = [it.id for it in await world.reader.events_of(marker)]
        after = await states(world, broker, namespace, "customers", last)
    assert after[id] is None
    assert {key for key, state in after.items() if state is not None} == {other, marker}


async def test_a_restriction_is_shown_in_the_persons_states(
    world: World, database_url: str, broker: LocalBroker
) -> None:
    namespace = f"states-{uuid4().hex[:8]}"
    id, subject_id = await customer(world, "Maya Brandt")
    await world.settle()
    assert isinstance(world.ring, PostgresKeyRing)
    subjects = Subjects(world.ring, world.views.timeline, world.views.directory)
    restrictions = Restrictions(world.application, marks=world.ring, ring=world.ring, subjects=subjects)
    async with feeding(world, database_url, broker, namespace):
        await states(world, broker, namespace, "customers", 1)
        await restrictions.impose(
            subject_id=subject_id, cause=RestrictionCause.ACCURACY_CONTESTED, context=at()
        )
        marker, _ = await customer(world, "Ida")
        [last] = [it.id for it in await world.reader.events_of(marker)]
        found = await states(world, broker, namespace, "customers", last)
    assert [found[it]["restricted"] for it in (id, marker)] == [True, False]  # type: ignore[index]


async def test_one_that_died_before_it_could_write_down_how_far_it_was_ends_alike(
    world: World, database_url: str, broker: LocalBroker
) -> None:
    namespace = f"states-{uuid4().hex[:8]}"
    ids = [(await customer(world, f"Customer {it}"))[0] for it in range(5)]
    await world.settle()
    async with feeding(world, database_url, broker, namespace):
        await states(world, broker, namespace, "customers", 5)
        for it in ids:
            await world.customers.segment(id=it, segment="gold", context=at())
        await states(world, broker, namespace, "customers", 10)
    assert world.pool is not None
    async with world.pool.connection() as connection:
        await connection.execute("UPDATE log.state_feeds SET position = 5")
    async with feeding(world, database_url, broker, namespace):
        marker, _ = await customer(world, "Ida")
        [last] = [it.id for it in await world.reader.events_of(marker)]
        found = await states(world, broker, namespace, "customers", last)
    assert all(found[it]["segment"] == "gold" for it in ids)  # type: ignore[index]
    assert len(found) == 6


async def test_a_feed_that_begins_before_the_views_have_caught_up_misses_nothing(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"states-{uuid4().hex[:8]}"
    async with postgres_world(database_url, projecting=False) as world:
        ids = {(await customer(world, f"Customer {it}"))[0] for it in range(3)}
        async with feeding(world, database_url, broker, namespace):
            await fed(world, 0)
            assert world.pool is not None
            source = partial(following_log, world.pool, world.reader, world.mapper, world.store)
            async with meanwhile(Projector(source, world.store).run):
                found = await states(world, broker, namespace, "customers", 3)
    assert found.keys() == ids
