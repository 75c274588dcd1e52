"""`lethe topics`, as its users meet it, on a real broker."""

import asyncio
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from infra.kafka.broker import LocalBroker
from infra.kafka.record import topics
from infra.kafka.relay import Relay
from infra.kafka.topics import ensure_topics
from infra.postgres.relay_lease import PostgresRelayLease
from tests.cli.test_command_line import document, lethe
from tests.streams import ListedLog

pytestmark = pytest.mark.broker


async def test_topics_grow_and_the_relay_takes_that_up(
    database_url: str, broker: LocalBroker, tmp_path: Path
) -> None:
    namespace = f"cli-{uuid4().hex}"
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE log.meta SET namespace = %s", [namespace])
    ensure_topics(broker.address, topics(namespace), partitions=2)
    topics_command = partial(
        lethe,
        "topics",
        database_url=database_url,
        data=tmp_path,
        LETHE_KAFKA=broker.address,
        LETHE_NAMESPACE=namespace,
    )
    stop = asyncio.Event()
    lease = PostgresRelayLease(database_url)
    relay = Relay(ListedLog(), broker.address, namespace, lease, growth_seconds=0.2)
    relaying = asyncio.create_task(relay.run(stop))
    try:
        grown = await asyncio.to_thread(topics_command, "grow", "--partitions", "3", "--json")
    finally:
        stop.set()
        await relaying
    assert document(grown) == {"topics": len(topics(namespace)), "partitions": 3, "in_use": True}
    # Nothing was written between the two: nobody was born to two partitions.
    listed = document(topics_command("list", "--json"))["topics"][f"{namespace}.leads"]
    assert listed == {"partitions": 3, "growths": [{"from_position": 0, "partitions": 3}]}

    refused = topics_command("grow", "--partitions", "2")
    assert refused.returncode == 2
    assert "has 3 partitions already, and keeps them" in refused.stderr


def test_without_kafka_there_are_no_topics(database_url: str, tmp_path: Path) -> None:
    refused = lethe("topics", "list", database_url=database_url, data=tmp_path)

    assert refused.returncode == 2
    assert "there are no topics without LETHE_KAFKA" in refused.stderr
