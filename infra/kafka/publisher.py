"""Puts stored events on their topics, in order and without holes. Blocking: call it from a thread."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eventsourcing.persistence import Notification
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from infra.kafka.batches import body_of
from infra.kafka.delivery import Delivery
from infra.kafka.partitioning import Growth, Partitioning
from infra.kafka.record import KafkaRecord, id_of, position_of, to_record, topics
from infra.kafka.topics import BOOTSTRAP_MS_MAX, RECORD_BYTES_MAX, ensure_topics

TAIL_SECONDS_MAX = 20.0

SETTINGS: Mapping[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 5,
    "batch_size": 131_072,
    "max_request_size": RECORD_BYTES_MAX,
    "reconnect_backoff_max_ms": 1_000,
    "bootstrap_timeout_ms": BOOTSTRAP_MS_MAX,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}
"""Of kafka-python's own producer, where one is used."""


class ForeignStream(Exception):
    """The topics hold events that this log does not have: another's, or its own from after a backup."""


class Tail(NamedTuple):
    """The last event on a partition. All events of the partition up to its position went out."""

    position: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Events as they will be sent, up to this log position; without those that went out before."""

    position: int
    waiting: Mapping[TopicPartition, Sequence[bytes]]


class Publisher:
    """One delivery's life: open, prepare and send by turns, halt, close. `place`: the cluster and its topics.

    While some events are sent, the next may be prepared by another thread.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        namespace: str,
        *,
        delivery_seconds_max: float = 30.0,
        permitted: Callable[[], bool] = lambda: True,
    ) -> None:
        """See `Delivery` for the last two. Whoever published before is fenced off from here on."""
        self.namespace = namespace
        names = topics(namespace)
        self.place = ensure_topics(bootstrap_servers, names)
        self._delivery = Delivery(
            bootstrap_servers,
            f"lethe-relay-{namespace}",
            names,
            seconds_max=delivery_seconds_max,
            permitted=permitted,
        )
        self._turn = threading.Lock()
        try:
            self.topics = self._delivery.topics()
            # After the fence: what a predecessor still gets through from now on repeats, at most.
            self.tails = read_tails(bootstrap_servers, names)
        except BaseException:
            self._delivery.close()
            raise
        self.partitioning = Partitioning({it.name: [Growth(0, it.partitions)] for it in self.topics})
        self.highest_seen = max((tail.position for tail in self.tails.values()), default=0)
        """The highest position that the topics held at the start."""

    def prepare(self, notifications: Sequence[Notification]) -> Prepared:
        """Raises `ForeignStream` where the topic and the log tell of different events."""
        waiting: dict[TopicPartition, list[bytes]] = defaultdict(list)
        for notification in notifications:
            record = to_record(notification, self.namespace)
            partition = self.partitioning.partition(record.topic, record.key, notification)
            if notification.id <= self.highest_seen and self._went_out(record, partition, notification.id):
                continue
            waiting[TopicPartition(record.topic, partition)].append(body_of(record))
        return Prepared(notifications[-1].id, waiting)

    def send(self, prepared: Prepared) -> None:
        """Return once all of it is acknowledged. Raises `PublishFailed`: then open another publisher."""
        with self._turn:
            self._delivery.deliver(prepared.waiting)

    def grown(self) -> bool:
        """Whether the topics, or their partitions, are others now than at the start. Raises `KafkaError`."""
        with self._turn:
            return self._delivery.topics() != self.topics

    def halt(self) -> None:
        """Send nothing more, not even what is under way. From any thread; may be repeated."""
        self._delivery.halt()

    def close(self) -> None:
        """Halt, and wait for the sending thread to have noticed."""
        self._delivery.halt()
        with self._turn:
            self._delivery.close()

    def _went_out(self, record: KafkaRecord, partition: int, position: int) -> bool:
        tail = self.tails.get((record.topic, partition))
        if tail is None:
            return False
        if position == tail.position and id_of(record.headers) != tail.event_id:
            raise ForeignStream(f"{record.topic}: another event at position {position}")
        return position <= tail.position


def read_tails(bootstrap_servers: str, names: Sequence[str]) -> dict[tuple[str, int], Tail]:
    """The last event of each partition that has one."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap_servers.split(","),
        bootstrap_timeout_ms=BOOTSTRAP_MS_MAX,
        enable_auto_commit=False,
        allow_auto_create_topics=False,
        max_partition_fetch_bytes=RECORD_BYTES_MAX,
        metrics_enabled=False,
    )
    try:
        partitions = [
            TopicPartition(name, it) for name in names for it in consumer.partitions_for_topic(name)
        ]
        first, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        last = {it: end[it] - 1 for it in partitions if end[it] > first[it]}
        return _read_at(consumer, last) if last else {}
    finally:
        consumer.close()


def _read_at(consumer: KafkaConsumer, offsets: dict[TopicPartition, int]) -> dict[tuple[str, int], Tail]:
    consumer.assign(list(offsets))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)
    tails: dict[tuple[str, int], Tail] = {}
    deadline = time.monotonic() + TAIL_SECONDS_MAX
    while len(tails) < len(offsets):
        if time.monotonic() > deadline:
            raise KafkaTimeoutError("the ends of the partitions could not be read in time")
        for partition, records in consumer.poll(timeout_ms=500).items():
            headers = records[-1].headers
            tails[partition.topic, partition.partition] = Tail(position_of(headers), id_of(headers))
    return tails
