"""`lethe topics`: the topics' partitions, and more of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer
from kafka.errors import KafkaError
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from infra.bootstrap import open_database
from infra.cli.command import Answer, Call, command, lethe
from infra.kafka.record import topics as names_of
from infra.kafka.topics import CannotShrink, Topic, describe_topics, grow_topics
from infra.outage import unavailable_on_outage
from infra.postgres.partitions import known_partitions, record_partitions
from infra.settings import BadSettings
from services.ports import Unavailable

TAKEN_UP_SECONDS_MAX = 30.0

topics = typer.Typer(help="The topics' partitions.")
lethe.add_typer(topics, name="topics")


@command("list", group=topics)
async def list_topics(call: Call) -> Answer:
    """The topics and their partitions, and from which position of the log on there were so many."""
    found = await _described(call)
    async with open_database(call.settings, migrated=False) as database, _connected(database.url) as it:
        known = await known_partitions(it, [topic.id for topic in found])
    grown = {topic.name: known.get(topic.id, []) for topic in found}
    document = {
        topic.name: {
            "partitions": topic.partitions,
            "growths": [{"from_position": at, "partitions": number} for at, number in grown[topic.name]],
        }
        for topic in found
    }
    return Answer({"topics": document}, "\n".join(_in_words(it, grown[it.name]) for it in found))


@command("grow", group=topics)
async def grow(
    call: Call, partitions: Annotated[int, typer.Option(min=1, max=1_000, help="How many, then.")]
) -> Answer:
    """Give every topic so many partitions. Records stay in the partition that they have; new ones use all.

    Nothing stops meanwhile, and it may be repeated. There is no way back: topics do not shrink.
    """
    found = await _described(call)
    async with open_database(call.settings, migrated=False) as database, _connected(database.url) as it:
        # First: should this end half-way, it must be known what the partitions have been.
        await record_partitions(it, found, growth=False)
        try:
            await asyncio.to_thread(grow_topics, _brokers(call), found, partitions)
        except CannotShrink as reason:
            raise BadSettings(str(reason)) from None
        except KafkaError as error:
            raise Unavailable(f"the brokers refuse or do not answer ({type(error).__name__})") from None
        taken_up = await _taken_up(it, found, partitions)
    words = f"{len(found)} topics have {partitions} partitions. " + (
        "The relay uses them." if taken_up else "The relay takes them up when it runs."
    )
    return Answer({"topics": len(found), "partitions": partitions, "in_use": taken_up}, words)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection[TupleRow]]:
    with unavailable_on_outage():
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            yield connection


def _brokers(call: Call) -> str:
    if call.settings.kafka is None:
        raise BadSettings("there are no topics without LETHE_KAFKA")
    return call.settings.kafka


async def _described(call: Call) -> list[Topic]:
    try:
        found = await asyncio.to_thread(describe_topics, _brokers(call), names_of(call.settings.namespace))
    except KafkaError as error:
        raise Unavailable(f"the brokers cannot be reached ({type(error).__name__})") from None
    if not found:
        raise Unavailable("there are no topics yet: the relay makes them when it first runs")
    return found


async def _taken_up(connection: AsyncConnection[TupleRow], found: list[Topic], partitions: int) -> bool:
    """Whether a relay has recorded it, within half a minute."""
    deadline = asyncio.get_running_loop().time() + TAKEN_UP_SECONDS_MAX
    while True:
        known = await known_partitions(connection, [it.id for it in found])
        if all(known[it.id][-1][1] >= partitions for it in found):
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.2)


def _in_words(topic: Topic, growths: list[tuple[int, int]]) -> str:
    since = ", ".join(f"{number} from {at}" for at, number in growths)
    return f"{topic.name}: {topic.partitions} partitions ({since or 'no relay has led here yet'})"
