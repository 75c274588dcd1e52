"""A part of the log, published again to a topic of its own: on a real broker, from a real log."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from infra.eventstore.reader import FencedReader
from infra.kafka.broker import LocalBroker
from infra.kafka.replay import Replayer, replay_topic
from infra.postgres.database import Pool, open_pool
from infra.postgres.replays import PostgresReplays
from infra.replay import AnotherReplay, Replay
from tests.streams import assert_whole, fill, logged, published

pytestmark = pytest.mark.broker
EVENTS = 3_000


class Interrupted(Exception):
    """What a test stops a replay with."""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    fill(database_url, EVENTS)
    pool = await open_pool(database_url, size=2)
    yield pool
    await pool.close()


def asked(namespace: str, *, types: frozenset[str] | None = None, after: int = 0) -> Replay:
    return Replay("billing", replay_topic(namespace, "billing"), types, after, EVENTS)


def replayer(pool: Pool, broker: LocalBroker, namespace: str) -> Replayer:
    return Replayer(FencedReader(pool), PostgresReplays(pool), broker.address, namespace)


async def test_all_of_the_log_is_on_one_topic_each_record_in_order(
    pool: Pool, broker: LocalBroker, database_url: str
) -> None:
    namespace = f"test-{uuid4().hex}"
    replay, sent = await replayer(pool, broker, namespace).run(asked(namespace))
    assert sent == EVENTS
    assert assert_whole(published(broker.address, namespace, on=[replay.topic]), logged(database_url)) == 0


async def test_only_what_was_asked_for_is_published(
    pool: Pool, broker: LocalBroker, database_url: str
) -> None:
    namespace = f"test-{uuid4().hex}"
    wanted = asked(namespace, types=frozenset({"lead.qualified", "ticket"}), after=1_200)
    replay, sent = await replayer(pool, broker, namespace).run(wanted)
    found = published(broker.address, namespace, on=[replay.topic])
    expected = [
        it
        for it in logged(database_url)
        if it.id > 1_200 and (it.topic == "lead.qualified" or it.topic.startswith("ticket."))
    ]
    assert len(found) == len(expected) == sent
    assert sorted(found, key=lambda it: it.id) == expected


async def test_an_interrupted_replay_goes_on_and_repeats_nothing(
    pool: Pool, broker: LocalBroker, database_url: str
) -> None:
    namespace = f"test-{uuid4().hex}"

    def interrupt(position: int) -> None:
        if position >= 1_500:
            raise Interrupted

    with pytest.raises(Interrupted):
        await replayer(pool, broker, namespace).run(asked(namespace), progress=interrupt)
    # As if it had been killed before it could write down how far it was.
    async with pool.connection() as connection:
        await connection.execute("UPDATE log.replays SET position = 100")
    replay, _ = await replayer(pool, broker, namespace).run(asked(namespace))
    assert assert_whole(published(broker.address, namespace, on=[replay.topic]), logged(database_url)) == 0
    [known] = await PostgresReplays(pool).all()
    assert known.ended_at is not None
    assert (await replayer(pool, broker, namespace).run(asked(namespace)))[1] == 0


async def test_a_name_stands_for_one_replay(pool: Pool, broker: LocalBroker) -> None:
    namespace = f"test-{uuid4().hex}"
    replays = PostgresReplays(pool)
    first, _ = await replays.begin(asked(namespace))
    again, position = await replays.begin(replace(first, until=EVENTS + 50))
    assert (again, position) == (first, 0)
    with pytest.raises(AnotherReplay):
        await replays.begin(replace(first, types=frozenset({"customer"})))


async def test_a_slow_replay_keeps_to_its_pace(pool: Pool, broker: LocalBroker) -> None:
    namespace = f"test-{uuid4().hex}"
    loop = asyncio.get_running_loop()
    begun = loop.time()
    wanted = replace(asked(namespace), until=600)
    await replayer(pool, broker, namespace).run(wanted, events_per_second=300)
    assert loop.time() - begun >= 1.9
