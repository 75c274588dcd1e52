"""Puts stored events on their topics, in order and without holes. Blocking: call it from a thread.

Why a failed record stops everything. kafka-python (3.0.12) drops a batch that failed and goes on with what is
queued behind it: a subscriber would see version 4 of an aggregate, then 6. Each partition has one batch in
flight at a time, and a failure is told on the sender's own thread before it takes up the next batch; so the
producer is halted right there, and the next one goes on from what the topics hold.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from eventsourcing.persistence import Notification
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.partitioner.default import murmur2

from infra.kafka.record import KafkaRecord, id_of, position_of, to_record, topics
from infra.kafka.topics import BOOTSTRAP_MS_MAX, RECORD_BYTES_MAX, ensure_topics

TAIL_SECONDS_MAX = 20.0
HALT_SECONDS_MAX = 5.0

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


class PublishFailed(KafkaError):  # type: ignore[misc]
    """A record was not acknowledged. Open a new publisher: it finds out what went out."""


class ForeignStream(Exception):
    """The topics hold events that this log does not have: another's, or its own from after a backup."""


class Tail(NamedTuple):
    """The last event on a partition. All events of the partition up to its position went out."""

    position: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Events on their way, up to this log position."""

    position: int
    futures: Sequence[Any]


class Publisher:
    """One producer's life: open, publish, settle, halt. `place` identifies the cluster and its topics."""

    def __init__(self, bootstrap_servers: str, namespace: str, *, delivery_seconds_max: float = 30.0) -> None:
        """`delivery_seconds_max` is how long a batch is tried again before it counts as failed."""
        self.bootstrap_servers = bootstrap_servers
        self.namespace = namespace
        self.place = ensure_topics(bootstrap_servers, topics(namespace))
        self.tails = read_tails(bootstrap_servers, topics(namespace))
        self._resumed_below = max((tail.position for tail in self.tails.values()), default=0)
        self._failure: Exception | None = None
        milliseconds = int(delivery_seconds_max * 1000)
        self._producer = _Producer(
            bootstrap_servers=bootstrap_servers.split(","),
            client_id=f"lethe-relay-{namespace}",
            max_block_ms=milliseconds,
            delivery_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds // 3,
            **SETTINGS,
        )

    @property
    def highest_seen(self) -> int:
        """The highest position that the topics held at the start."""
        return self._resumed_below

    def publish(self, notifications: Sequence[Notification]) -> Sent:
        """Hand the events to the producer, without those that went out before it was opened.

        Raises `PublishFailed`, or `ForeignStream` where the topic and the log tell of different events.
        """
        futures = []
        partitions: dict[str, int] = {}
        for notification in notifications:
            record = to_record(notification, self.namespace)
            if record.topic not in partitions:
                partitions[record.topic] = len(self._producer.partitions_for(record.topic))
            partition = partition_of(record.key, partitions[record.topic])
            if notification.id <= self._resumed_below and self._went_out(record, partition, notification.id):
                continue
            try:
                future = self._producer.send(
                    record.topic, record.value, record.key, record.headers, partition=partition
                )
            except KafkaError as error:  # also that it was halted meanwhile
                self._fail(error)
                break
            futures.append(future.add_errback(self._fail))
        self._check()
        return Sent(notifications[-1].id, futures)

    def settle(self, sent: Sent) -> None:
        """Wait until all of it is acknowledged. Raises `PublishFailed`."""
        for future in sent.futures:
            while not future.is_done:
                self._check()
                with suppress(KafkaError):  # not yet, or not at all: the future itself says which
                    future.get(timeout=1.0)
            if future.exception is not None:
                self._fail(future.exception)
        self._check()

    def halt(self) -> None:
        """Send nothing more, not even what is queued. From any thread; may be repeated."""
        self._failure = self._failure or PublishFailed("halted")
        self._producer.halt()
        self._producer.join(HALT_SECONDS_MAX)

    def _fail(self, error: Exception) -> None:
        # On the sender's thread, before it drains another batch.
        self._failure = self._failure or error
        self._producer.halt()

    def _check(self) -> None:
        if self._failure is not None:
            raise PublishFailed(type(self._failure).__name__) from self._failure

    def _went_out(self, record: KafkaRecord, partition: int, position: int) -> bool:
        tail = self.tails.get((record.topic, partition))
        if tail is None:
            return False
        if position == tail.position and id_of(record.headers) != tail.event_id:
            raise ForeignStream(f"{record.topic}: another event at position {position}")
        return position <= tail.position


class _Producer(KafkaProducer):  # type: ignore[misc]
    """A producer that can be stopped without sending what it has queued.

    `close(timeout=0)` does not: with anything unacknowledged it raises before it forces the sender to stop.
    """

    def halt(self) -> None:
        self._sender.force_close()

    def join(self, seconds: float) -> None:
        self._sender.join(seconds)
        self._unregister_cleanup()
        self._closed = True


@lru_cache(maxsize=65_536)  # the hash is in Python, and a record's events come close together
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as the producer and Kafka's own clients choose it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


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
