"""Publishes a part of the log again, to a topic of its own: for a subscriber that comes late.

The live topics and their relay are not touched. A replay ends at a position that is fixed when it is first
asked for; what comes after it is on the live topics, and who follows those drops what it has seen by `ce_id`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping

from eventsourcing.persistence import Notification
from kafka import TopicPartition

from infra.kafka.batches import body_of
from infra.kafka.delivery import Delivery
from infra.kafka.partitioning import partition_of
from infra.kafka.publisher import Tail, read_tails
from infra.kafka.record import to_record
from infra.kafka.topics import ensure_topics
from infra.replay import Progress, Replay, Replays
from services.ports import LogReader

CHUNK_EVENTS_MAX = 1_000
DELIVERY_SECONDS_MAX = 30.0


def replay_topic(namespace: str, name: str) -> str:
    """Where the events of a replay go, of all kinds together; the key is the aggregate's id."""
    return f"{namespace}.replay.{name}"


class Replayer:
    """Carries out a replay, or carries on with it: whatever went out already is not sent again.

    Of two that carry on with the same one, the brokers refuse the first as soon as the second begins.
    """

    def __init__(self, reader: LogReader, replays: Replays, bootstrap_servers: str, namespace: str) -> None:
        self._reader = reader
        self._replays = replays
        self._bootstrap_servers = bootstrap_servers
        self._namespace = namespace

    async def run(
        self, replay: Replay, *, events_per_second: float | None = None, progress: Progress = lambda _: None
    ) -> tuple[Replay, int]:
        """Publish it to its end; the replay, and how many events were sent now.

        Raises `AnotherReplay`, `Unavailable` or `KafkaError`; run again, it goes on where it was.
        """
        replay, position = await self._replays.begin(replay)
        outlet = await asyncio.to_thread(_Outlet, self._bootstrap_servers, self._namespace, replay)
        sent, pace = 0, _Pace(events_per_second)
        try:
            while position < replay.until:
                page = await self._reader.read(position, pace.at_once(CHUNK_EVENTS_MAX))
                page = [it for it in page if it.id <= replay.until]
                published = await asyncio.to_thread(outlet.publish, page)
                sent += published
                position = page[-1].id if page else replay.until
                await self._replays.advance(replay.name, position)
                progress(position)
                await pace.keep(published)
        finally:
            outlet.halt()
            await asyncio.to_thread(outlet.close)
        return replay, sent


class _Outlet:
    """The replay's topic. Blocking."""

    def __init__(self, bootstrap_servers: str, namespace: str, replay: Replay) -> None:
        self._namespace = namespace
        self._replay = replay
        ensure_topics(bootstrap_servers, [replay.topic])
        self._delivery = Delivery(
            bootstrap_servers,
            f"lethe-replay-{replay.topic}",
            [replay.topic],
            seconds_max=DELIVERY_SECONDS_MAX,
        )
        try:
            [topic] = self._delivery.topics()
            self._partitions = topic.partitions
            # After the fence: nobody else adds to them from now on.
            self._tails: Mapping[tuple[str, int], Tail] = read_tails(bootstrap_servers, [replay.topic])
        except BaseException:
            self._delivery.close()
            raise

    def publish(self, page: Collection[Notification]) -> int:
        """Send what is wanted and did not go out before; how many."""
        waiting: dict[TopicPartition, list[bytes]] = defaultdict(list)
        for it in page:
            if not self._replay.wants(it.topic):
                continue
            record = to_record(it, self._namespace)._replace(topic=self._replay.topic)
            partition = partition_of(record.key, self._partitions)
            tail = self._tails.get((record.topic, partition))
            if tail is None or it.id > tail.position:
                waiting[TopicPartition(record.topic, partition)].append(body_of(record))
        self._delivery.deliver(waiting)
        return sum(map(len, waiting.values()))

    def halt(self) -> None:
        self._delivery.halt()

    def close(self) -> None:
        self._delivery.close()


class _Pace:
    """So many events a second on average, or as fast as it goes."""

    def __init__(self, events_per_second: float | None) -> None:
        self._rate = events_per_second
        self._begun: float | None = None
        self._sent = 0

    def at_once(self, most: int) -> int:
        """A chunk that takes a second at most, so that it is even."""
        return most if self._rate is None else max(1, min(most, int(self._rate)))

    async def keep(self, sent: int) -> None:
        """Wait as long as these were too early."""
        if self._rate is None:
            return
        now = asyncio.get_running_loop().time()
        if self._begun is None:
            self._begun = now
        self._sent += sent
        await asyncio.sleep(max(0.0, self._begun + self._sent / self._rate - now))
