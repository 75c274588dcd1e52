"""Checkpoints on a real broker: every one arrives, in order, however often the relay ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition

from infra.audit.note import Cosigner, Key, verify, verify_checkpoint
from infra.audit.outbox import PostgresOutbox
from infra.kafka.broker import LocalBroker
from infra.kafka.checkpoints import CheckpointRelay, checkpoint_topic
from tests.audit.trees import append, execute, grove, sequencing, signed

pytestmark = pytest.mark.broker

WITNESS = Cosigner("witness.example/w1", b"\x02" * 32)


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid4().hex}"


@asynccontextmanager
async def relaying(url: str, broker: LocalBroker, namespace: str, *, count: int = 1) -> AsyncIterator[None]:
    relays = [CheckpointRelay(PostgresOutbox(url), broker.address, namespace) for _ in range(count)]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for it in relays:
            group.create_task(it.run(stop))
        try:
            yield
        finally:
            stop.set()


def published(broker: LocalBroker, namespace: str, count: int) -> list[tuple[str, str]]:
    """Keys and notes on the topic, once there are so many."""
    consumer = KafkaConsumer(bootstrap_servers=broker.address, auto_offset_reset="earliest")
    try:
        partition = TopicPartition(checkpoint_topic(namespace), 0)
        consumer.assign([partition])
        found: list[tuple[str, str]] = []
        until = time.monotonic() + 30
        while len(found) < count:
            assert time.monotonic() < until, f"only {len(found)} of {count} came"
            for records in consumer.poll(timeout_ms=200).values():
                found += [(it.key.decode(), it.value.decode()) for it in records]
        return found
    finally:
        consumer.close()


async def test_checkpoints_come_in_order_without_gaps_over_restarts(
    database_url: str, tmp_path: Path, broker: LocalBroker, namespace: str
) -> None:
    async with grove(database_url, tmp_path) as it, sequencing(it):
        for round_ in (1, 2, 3):
            append(database_url, 300)
            await signed(it, 300 * round_)
            async with relaying(database_url, broker, namespace, count=2):
                stored = await it.checkpoints.changed(0, 1000)
                found = await asyncio.to_thread(published, broker, namespace, len(stored))
            assert [note for _, note in found] == [one.note for one in stored]
    assert {key for key, _ in found} == {f"lethe/{namespace}/log"}
    assert verify_checkpoint(found[-1][1], it.signer.vkey).size == 900


async def test_a_cosigned_checkpoint_is_published_again(
    database_url: str, tmp_path: Path, broker: LocalBroker, namespace: str
) -> None:
    witnesses = [Key.parse(WITNESS.vkey)]
    async with grove(database_url, tmp_path, witnesses=witnesses) as it, sequencing(it):
        append(database_url, 300)
        await signed(it, 300)
        async with relaying(database_url, broker, namespace):
            [(_, note)] = await asyncio.to_thread(published, broker, namespace, 1)
            cosigned = await it.checkpoints.cosign(300, WITNESS.cosign(note, seconds=1))
            found = await asyncio.to_thread(published, broker, namespace, 2)
    assert [note for _, note in found] == [note, cosigned.note]
    assert verify(cosigned.note, WITNESS.vkey) == verify(note, it.signer.vkey)


async def test_one_that_loses_its_connection_goes_on(
    database_url: str, tmp_path: Path, broker: LocalBroker, namespace: str
) -> None:
    async with (
        grove(database_url, tmp_path) as it,
        sequencing(it),
        relaying(database_url, broker, namespace),
    ):
        for round_ in (1, 2):
            append(database_url, 300)
            await signed(it, 300 * round_)
            found = await asyncio.to_thread(published, broker, namespace, round_)
            execute(
                database_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'lethe checkpoint relay'",
            )
    assert verify_checkpoint(found[-1][1], it.signer.vkey).size == 600
