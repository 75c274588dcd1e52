"""Brings signed checkpoints to Kafka, where we cannot take them back: each at least once, in order."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from infra.kafka.publisher import SETTINGS
from infra.kafka.topics import ensure_topics
from infra.waiting import set_within_about
from services.ports import Unavailable

AT_ONCE = 500
LOOK_SECONDS = 1.0
STANDBY_SECONDS = 2.0
BACKOFF_SECONDS_MAX = 10.0
DELIVERY_SECONDS_MAX = 30.0

log = structlog.get_logger(__name__)


class Outgoing(Protocol):
    """A checkpoint: which log's, the signed note, and the number of the change that it came with."""

    @property
    def change(self) -> int: ...

    @property
    def log(self) -> str: ...

    @property
    def note(self) -> str: ...


class Outbox(Protocol):
    """Checkpoints that a place does not have yet. One process takes them at a time.

    Each method raises `Unavailable` once the lease is lost or the database away.
    """

    async def acquire(self) -> bool:
        """Become the one, if nobody is."""
        ...

    async def pending(self, place: str, limit: int) -> Sequence[Outgoing]:
        """The next that this place does not have, in order."""
        ...

    async def took(self, place: str, change: int) -> None:
        """Remember that this place has everything up to this change."""
        ...

    async def release(self) -> None:
        """Let another. May be repeated."""
        ...


def checkpoint_topic(namespace: str) -> str:
    """The topic: key is the log's origin, value the signed note."""
    return f"{namespace}.checkpoints"


class CheckpointRelay:
    """Publishes every checkpoint, and again when a witness has cosigned it. Of several, one works."""

    def __init__(self, outbox: Outbox, bootstrap_servers: str, namespace: str) -> None:
        self._outbox = outbox
        self._bootstrap_servers = bootstrap_servers
        self._namespace = namespace

    async def run(self, stop: asyncio.Event) -> None:
        """Publish, or stand by, until `stop` is set. A broker or database that is away is waited for."""
        pause = LOOK_SECONDS
        try:
            while not stop.is_set():
                try:
                    if await self._outbox.acquire():
                        await self._lead(stop)
                    pause = STANDBY_SECONDS
                except (KafkaError, Unavailable, OSError) as error:
                    log.warning("checkpoint_relay_waits", error=type(error).__qualname__)
                    await self._outbox.release()
                    pause = min(pause * 2, BACKOFF_SECONDS_MAX)
                await set_within_about(stop, pause)
        finally:
            await self._outbox.release()

    async def _lead(self, stop: asyncio.Event) -> None:
        topic = checkpoint_topic(self._namespace)
        place = await asyncio.to_thread(ensure_topics, self._bootstrap_servers, [topic], partitions=1)
        producer = await asyncio.to_thread(self._producer)
        try:
            while not stop.is_set():
                found = await self._outbox.pending(place, AT_ONCE)
                if found:
                    await asyncio.to_thread(self._send, producer, topic, found)
                    await self._outbox.took(place, found[-1].change)
                else:
                    await set_within_about(stop, LOOK_SECONDS)
        finally:
            await asyncio.to_thread(producer.close, 1.0)

    def _producer(self) -> KafkaProducer:
        milliseconds = int(DELIVERY_SECONDS_MAX * 1000)
        settings: dict[str, Any] = {
            **SETTINGS,
            "max_block_ms": milliseconds,
            "delivery_timeout_ms": milliseconds,
            "request_timeout_ms": milliseconds // 3,
        }
        return KafkaProducer(bootstrap_servers=self._bootstrap_servers.split(","), **settings)

    def _send(self, producer: KafkaProducer, topic: str, found: Sequence[Outgoing]) -> None:
        """Send them and wait until all are acknowledged. Raises `KafkaError`."""
        futures = [
            producer.send(topic, it.note.encode(), f"lethe/{self._namespace}/{it.log}".encode())
            for it in found
        ]
        for future in futures:
            future.get(timeout=DELIVERY_SECONDS_MAX)
