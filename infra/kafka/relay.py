"""Brings every event of the log to Kafka: at least once, each aggregate in order, without holes.

One relay of a namespace publishes at a time; standbys wait for its lease. The checkpoint follows what is
acknowledged, and may lag: at the start the end of each partition tells what went out already.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import structlog
from eventsourcing.persistence import Notification
from kafka.errors import KafkaError

from infra.ending import ended
from infra.kafka.partitioning import Growth, Partitioning
from infra.kafka.publisher import ForeignStream, Prepared, Publisher
from infra.waiting import set_within_about
from services.ports import LogReader, Unavailable

CHUNK_EVENTS_MAX = 1_000
CHUNK_BYTES_MAX = 4 * 1024 * 1024
IDLE_SECONDS_MAX = 0.5
STANDBY_SECONDS = 1.0
CONFIRM_SECONDS = 1.0
GROWTH_SECONDS = 5.0
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

    def held(self) -> bool:
        """Whether nobody else can have it at this very moment. From any thread."""
        ...

    async def checkpoint(self, place: str) -> int:
        """The position up to which everything is acknowledged by this place; 0 for a new one."""
        ...

    async def advance(self, place: str, position: int) -> None:
        """Remember that everything up to this position is acknowledged."""
        ...

    async def report(self, place: str, fault: str) -> None:
        """Show that nothing is published to this place, and why; until it is advanced again."""
        ...

    async def drawn(self) -> int:
        """The last position that the log has given out; at the horizon or above."""
        ...

    async def partitions(
        self, topics: Collection[tuple[str, str, int]]
    ) -> Mapping[str, Sequence[tuple[int, int]]]:
        """How topics (id, name, partitions now) have grown: by id, from which position, how many partitions.

        A growth not seen before is recorded, durable when this returns, from the last position drawn.
        """
        ...

    async def births(self, ids: Collection[UUID | str]) -> Mapping[UUID | str, int]:
        """The positions of the first events of these aggregates."""
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
        growth_seconds: float = GROWTH_SECONDS,
    ) -> None:
        """`growth_seconds`: how often it looks whether the topics have got other partitions."""
        self.reader = reader
        self.bootstrap_servers = bootstrap_servers
        self.namespace = namespace
        self.lease = lease
        self.delivery_seconds_max = delivery_seconds_max
        self.chunk_events_max = chunk_events_max
        self.growth_seconds = growth_seconds
        self.acknowledged = 0
        self.leading = False
        self._chunk_events = chunk_events_max
        self._grown = False
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
                        await set_within_about(stop, STANDBY_SECONDS)
                except (KafkaError, Unavailable, OSError) as error:
                    log.warning("relay_waits", error=type(error).__qualname__, position=self.acknowledged)
                    await self.lease.release()
                    await set_within_about(stop, self._pause_seconds)
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
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._publish(stop))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            # Before the lease goes: whoever takes it next should not find this one still publishing.
            await asyncio.shield(ended(*tasks))

    async def _publish(self, stop: asyncio.Event) -> None:
        publisher = await self._open()
        tasks: list[asyncio.Task[None]] = []
        try:
            self.acknowledged = await self.lease.checkpoint(publisher.place)
            # What a slow transaction holds back lies above the horizon, and may have been published before.
            if publisher.highest_seen > max(await self.lease.drawn(), await self.reader.horizon()):
                raise ForeignStream(
                    f"the topics go up to position {publisher.highest_seen}, the log does not"
                )
            growths = await self.lease.partitions(publisher.topics)
            publisher.partitioning = Partitioning(
                {it.name: [Growth(*one) for one in growths[it.id]] for it in publisher.topics}
            )
            log.info("relay_leads", position=self.acknowledged)
            self.leading, self._grown = True, False
            following = asyncio.create_task(self._follow(publisher, stop))
            tasks = [following, asyncio.create_task(self._watch_topics(publisher))]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await following
        except ForeignStream as fault:
            await self.lease.report(publisher.place, str(fault))
            raise
        finally:
            self.leading = False
            publisher.halt()
            await ended(*tasks)
            await asyncio.to_thread(publisher.close)

    async def _open(self) -> Publisher:
        opening = asyncio.create_task(
            asyncio.to_thread(
                Publisher,
                self.bootstrap_servers,
                self.namespace,
                delivery_seconds_max=self.delivery_seconds_max,
                permitted=self.lease.held,
            )
        )
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A thread cannot be cancelled.
            for publisher in await asyncio.gather(opening, return_exceptions=True):
                if isinstance(publisher, Publisher):
                    publisher.close()
            raise

    async def _watch(self) -> None:
        while True:
            await self.lease.confirm()
            await asyncio.sleep(CONFIRM_SECONDS)

    async def _watch_topics(self, publisher: Publisher) -> None:
        """Have it begin anew, in good order, once the topics have other partitions."""
        while not self._grown:
            await asyncio.sleep(self.growth_seconds)
            self._grown = await asyncio.to_thread(publisher.grown)

    async def _follow(self, publisher: Publisher, stop: asyncio.Event) -> None:
        sending: asyncio.Task[int] | None = None
        after = self.acknowledged
        reading = self._read(after, 0.0)
        well = False
        try:
            while not (stop.is_set() or self._grown):
                await asyncio.wait({reading, sending or reading}, return_when=asyncio.FIRST_COMPLETED)
                prepared = None
                if reading.done():
                    chunk = reading.result()
                    after = chunk[-1].id if chunk else after
                    # Wait for more, read and prepare it while the one before is being sent.
                    reading = self._read(after, IDLE_SECONDS_MAX)
                    if chunk:
                        await self._learn_births(publisher.partitioning, chunk)
                        prepared = await asyncio.to_thread(publisher.prepare, chunk)
                    elif not well:
                        await self._settle(publisher, self.acknowledged)
                        well = True
                if prepared is not None or (sending is not None and sending.done()):
                    position = await sending if sending is not None else None
                    sending = self._send(publisher, prepared) if prepared is not None else None
                    if position is not None:
                        await self._settle(publisher, position)
            if sending is not None:
                await self._settle(publisher, await sending)
        finally:
            under_way = [it for it in (reading, sending) if it is not None]
            await ended(*under_way)

    async def _learn_births(self, partitioning: Partitioning, chunk: Sequence[Notification]) -> None:
        if unknown := partitioning.unknown(chunk):
            partitioning.learn(await self.lease.births(unknown))

    def _read(self, after: int, wait_seconds: float) -> asyncio.Task[Sequence[Notification]]:
        async def read() -> Sequence[Notification]:
            chunk = await self.reader.read(after, self._chunk_events)
            if not chunk and await self.reader.wait(after, wait_seconds):
                chunk = await self.reader.read(after, self._chunk_events)
            # Large events, fewer of them: so much is held in memory three times over.
            size = max(1, sum(len(it.state) for it in chunk))
            fit = self._chunk_events * CHUNK_BYTES_MAX // size
            self._chunk_events = max(1, min(self.chunk_events_max, 2 * self._chunk_events, fit))
            return chunk

        return asyncio.create_task(read())

    def _send(self, publisher: Publisher, prepared: Prepared) -> asyncio.Task[int]:
        async def send() -> int:
            await asyncio.to_thread(publisher.send, prepared)
            return prepared.position

        return asyncio.create_task(send())

    async def _settle(self, publisher: Publisher, position: int) -> None:
        await self.lease.advance(publisher.place, position)
        self.acknowledged = position
        self._pause_seconds = BACKOFF_SECONDS_MIN
