"""Brings every event of the log to Kafka: at least once, each aggregate in order, without holes.

One relay of a namespace publishes at a time; standbys wait for its lease. The checkpoint follows what is
acknowledged, and may lag: at the start the end of each partition tells what went out already.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog
from eventsourcing.persistence import Notification
from kafka.errors import KafkaError

from infra.kafka.publisher import ForeignStream, Publisher, Sent
from services.ports import LogReader, Unavailable

CHUNK_EVENTS_MAX = 1_000
CHUNKS_UNSETTLED_MAX = 3
IDLE_SECONDS_MAX = 0.5
STANDBY_SECONDS = 1.0
CONFIRM_SECONDS = 1.0
BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 5.0

log = structlog.get_logger(__name__)


class Lease(Protocol):
    """The right to publish, had by one relay of a namespace at a time, and the checkpoint that goes with it.

    Each method raises `Unavailable` once the lease is lost or the database away.
    """

    async def acquire(self) -> bool:
        """Take the lease if nobody has it."""
        ...

    async def confirm(self) -> None:
        """Make sure that it is still held."""
        ...

    async def checkpoint(self, place: str) -> int:
        """The position up to which everything is acknowledged by this place; 0 for a new one."""
        ...

    async def advance(self, place: str, position: int) -> None:
        """Remember that everything up to this position is acknowledged."""
        ...

    async def release(self) -> None:
        """Let another take it. May be repeated."""
        ...


class Relay:
    """Publishes the log. `acknowledged` is the position up to which Kafka has everything."""

    def __init__(
        self,
        reader: LogReader,
        bootstrap_servers: str,
        namespace: str,
        lease: Lease,
        *,
        delivery_seconds_max: float = 30.0,
        chunk_events_max: int = CHUNK_EVENTS_MAX,
    ) -> None:
        self.reader = reader
        self.bootstrap_servers = bootstrap_servers
        self.namespace = namespace
        self.lease = lease
        self.delivery_seconds_max = delivery_seconds_max
        self.chunk_events_max = chunk_events_max
        self.acknowledged = 0
        self.leading = False
        self._pause_seconds = BACKOFF_SECONDS_MIN

    async def run(self, stop: asyncio.Event) -> None:
        """Publish, or stand by, until `stop` is set. A broker or database that is away is waited for.

        Raises `ForeignStream`: then the topics belong to another log, and a person has to decide.
        """
        try:
            while not stop.is_set():
                try:
                    if await self.lease.acquire():
                        await self._lead(stop)
                    else:
                        await _sleep(stop, STANDBY_SECONDS)
                except (KafkaError, Unavailable, OSError) as error:
                    log.warning("relay_waits", error=type(error).__qualname__, position=self.acknowledged)
                    await self.lease.release()
                    await _sleep(stop, self._pause_seconds)
                    self._pause_seconds = min(self._pause_seconds * 2, BACKOFF_SECONDS_MAX)
        finally:
            await self.lease.release()

    async def positions_behind(self) -> int:
        """How far Kafka is behind the log."""
        horizon = await self.reader.horizon()
        # The last positions drawn may have come to nothing.
        if not await self.reader.read(self.acknowledged, 1):
            return 0
        return max(0, horizon - self.acknowledged)

    async def _lead(self, stop: asyncio.Event) -> None:
        publisher = await asyncio.to_thread(
            Publisher,
            self.bootstrap_servers,
            self.namespace,
            delivery_seconds_max=self.delivery_seconds_max,
        )
        tasks: list[asyncio.Task[None]] = []
        try:
            self.acknowledged = await self.lease.checkpoint(publisher.place)
            if publisher.highest_seen > await self.reader.horizon():
                raise ForeignStream(
                    f"the topics go up to position {publisher.highest_seen}, the log does not"
                )
            log.info("relay_leads", position=self.acknowledged)
            self.leading = True
            tasks = [
                asyncio.create_task(self._follow(publisher, stop)),
                asyncio.create_task(self._watch()),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.leading = False
            # Before the lease goes: whoever takes it next must not find this one still publishing.
            await asyncio.shield(asyncio.to_thread(publisher.halt))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await self.lease.confirm()
            await asyncio.sleep(CONFIRM_SECONDS)

    async def _follow(self, publisher: Publisher, stop: asyncio.Event) -> None:
        unsettled: deque[Sent] = deque()
        reading = self._read(self.acknowledged)
        try:
            while not stop.is_set():
                chunk = await reading
                if chunk:
                    # Read on while this is being sent.
                    reading = self._read(chunk[-1].id)
                    unsettled.append(await asyncio.to_thread(publisher.publish, chunk))
                while len(unsettled) > CHUNKS_UNSETTLED_MAX or (unsettled and not chunk):
                    await self._settle(publisher, unsettled.popleft())
                if not chunk:
                    await self.reader.wait(self.acknowledged, IDLE_SECONDS_MAX)
                    reading = self._read(self.acknowledged)
            while unsettled:
                await self._settle(publisher, unsettled.popleft())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _read(self, after: int) -> asyncio.Task[Sequence[Notification]]:
        async def read() -> Sequence[Notification]:
            return await self.reader.read(after, self.chunk_events_max)

        return asyncio.create_task(read())

    async def _settle(self, publisher: Publisher, sent: Sent) -> None:
        await asyncio.to_thread(publisher.settle, sent)
        await self.lease.advance(publisher.place, sent.position)
        self.acknowledged = sent.position
        self._pause_seconds = BACKOFF_SECONDS_MIN


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Until `stop`, or about so long: relays that lost the same broker do not come back all at once."""
    try:
        async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter, not a secret
            await stop.wait()
    except TimeoutError:
        return
