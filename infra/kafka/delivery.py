"""Delivers records to the brokers, in order and without holes, and not a byte after it was told to stop.

kafka-python (3.0.12) brings the connections, the protocol and what is known of the cluster. Its producer is
not used: it drops a batch that failed and goes on with what is queued behind it, so that a subscriber would
see version 4 of an aggregate, then 6; and it takes one record at a time. Here each partition has one batch on
its way, the next is made once that is acknowledged, and the first failure ends everything.

The fence. Each delivery takes the next epoch of one producer, which the brokers give out in turn under the
transactional id; no transaction is ever begun. A broker that has taken a batch of an epoch refuses those of
earlier ones on that partition: whatever a relay that was replaced still has on its way can at most repeat
events ahead of its successor's, and never comes behind them.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka.errors import (
    BrokerResponseError,
    DuplicateSequenceNumberError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RetriableError,
    for_code,
)
from kafka.future import Future
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.metadata import CoordinatorType, FindCoordinatorRequest
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest
from kafka.structs import TopicPartition

from infra.kafka.batches import RECORD_OVERHEAD, batch_of
from infra.kafka.topics import BOOTSTRAP_MS_MAX, RECORD_BYTES_MAX, Topic

PRODUCE_VERSION_MAX = 9  # later ones name topics by their ids
BATCH_BYTES_MAX = RECORD_BYTES_MAX // 4
TRANSACTION_MS = 60_000
RETRY_SECONDS = 0.1
LOOK_MS = 1_000
SEQUENCES = 0x7FFFFFFF  # numbers start over after this one
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
ALL_REPLICAS = -1

Waiting = Mapping[TopicPartition, Sequence[bytes]]


class PublishFailed(KafkaError):  # type: ignore[misc]
    """Not everything was acknowledged. Open a new delivery: it goes on from what the topics hold."""


class Delivery:
    """One producer's life. Blocking, one thread at a time; only `halt` may be called beside the others."""

    def __init__(
        self,
        bootstrap_servers: str,
        producer: str,
        topics: Sequence[str],
        *,
        seconds_max: float,
        permitted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Takes the producer's next epoch. `permitted` is asked right before anything is sent.

        `seconds_max` is how long a batch is tried again before it counts as failed.
        """
        self._seconds_max = seconds_max
        self._permitted = permitted
        self._topics = list(topics)
        self._halted = self._closed = False
        self._closing = threading.Lock()
        self._sequences: dict[TopicPartition, int] = defaultdict(int)
        self._bytes_max: dict[TopicPartition, int] = defaultdict(lambda: BATCH_BYTES_MAX)
        settings: dict[str, Any] = {
            "bootstrap_servers": bootstrap_servers.split(","),
            "client_id": producer,
            "request_timeout_ms": int(seconds_max * 1000 / 3),
            "reconnect_backoff_max_ms": 1_000,
        }
        self._loop = NetworkSelector(**settings)
        self._brokers = KafkaConnectionManager(self._loop, **settings)
        try:
            self._brokers.bootstrap(BOOTSTRAP_MS_MAX)
            self._brokers.run(self._brokers.cluster.set_topics, topics)
            self._producer_id, self._epoch = self._brokers.run(self._take_epoch, producer)
        except BaseException:
            self.close()
            raise

    def deliver(self, waiting: Waiting) -> None:
        """Return once all of these record bodies are acknowledged by all replicas in sync.

        Each partition's come in the order given. Raises `PublishFailed`; nothing more is sent from then on.
        """
        try:
            self._brokers.run(self._deliver, {it: list(bodies) for it, bodies in waiting.items() if bodies})
        except PublishFailed:
            self._halted = True
            raise
        except (
            KafkaError,
            RuntimeError,
        ) as error:  # the latter: a transport that closes while it is written to
            self._halted = True
            raise PublishFailed(type(error).__name__) from error

    def topics(self) -> list[Topic]:
        """The topics as they are now. Raises `KafkaError`."""
        return self._brokers.run(self._look)  # type: ignore[no-any-return]

    def partitions(self) -> dict[str, int]:
        """How many partitions each topic has now. Raises `KafkaError`."""
        return {it.name: it.partitions for it in self.topics()}

    def halt(self) -> None:
        """Send nothing more, and wait for no answer. From any thread; may be repeated."""
        self._halted = True
        with self._closing:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._brokers.close)

    def close(self) -> None:
        """Close the connections, once no other call is under way. May be repeated."""
        self._halted = True
        with self._closing:
            if not self._closed:
                self._closed = True
                self._brokers.close()
                self._loop.close()

    async def _look(self) -> list[Topic]:
        cluster = self._brokers.cluster
        deadline = time.monotonic() + self._seconds_max
        while True:
            with suppress(RetriableError):  # asked again; what is sent meanwhile says it for itself
                await self._brokers.wait_for(cluster.request_update(), LOOK_MS)
            found = [(cluster.topic_id(it), it, cluster.partitions_for_topic(it)) for it in self._topics]
            if all(identity and partitions for identity, _, partitions in found):
                return [Topic(str(identity), name, len(partitions)) for identity, name, partitions in found]
            self._check_halted()
            if time.monotonic() > deadline:
                raise KafkaTimeoutError("the topics are not known to the brokers")
            await self._loop.sleep(RETRY_SECONDS)

    async def _take_epoch(self, producer: str) -> tuple[int, int]:
        deadline = time.monotonic() + self._seconds_max
        while True:
            try:
                return await self._ask_for_epoch(producer)
            except RetriableError:
                if time.monotonic() > deadline:
                    raise
                await self._loop.sleep(RETRY_SECONDS)

    async def _ask_for_epoch(self, producer: str) -> tuple[int, int]:
        kind = CoordinatorType.TRANSACTION
        look = FindCoordinatorRequest(key=producer, key_type=kind.value, coordinator_keys=[producer])
        found = await self._brokers.send(look)
        # Since version 4 of the answer there may be several; one was asked for.
        coordinator = found.coordinators[0] if found.coordinators else found
        _raise_for(coordinator.error_code)
        node = self._brokers.cluster.add_coordinator(coordinator, kind, producer)
        answer = await self._brokers.send(
            InitProducerIdRequest(
                transactional_id=producer,
                transaction_timeout_ms=TRANSACTION_MS,
                producer_id=-1,
                producer_epoch=-1,
                max_version=4,
            ),
            node_id=node,
        )
        _raise_for(answer.error_code)
        return answer.producer_id, answer.producer_epoch

    async def _deliver(self, waiting: dict[TopicPartition, list[bytes]]) -> None:
        deadline = time.monotonic() + self._seconds_max
        while waiting:
            moved = False
            for partition, count, error in await self._round(waiting):
                if self._settle(waiting, partition, count, error):
                    moved = True
            if moved:
                deadline = time.monotonic() + self._seconds_max
            elif time.monotonic() > deadline:
                raise KafkaTimeoutError("not acknowledged in time")
            else:
                self._brokers.cluster.request_update()
                await self._loop.sleep(RETRY_SECONDS)

    def _settle(
        self,
        waiting: dict[TopicPartition, list[bytes]],
        partition: TopicPartition,
        count: int,
        error: type[KafkaError] | None,
    ) -> bool:
        """Take off what was acknowledged; whether anything moved. Raises what cannot be mended."""
        if error is None or error is DuplicateSequenceNumberError:
            self._sequences[partition] = (self._sequences[partition] + count) & SEQUENCES
            del waiting[partition][:count]
            if not waiting[partition]:
                del waiting[partition]
            return True
        if error in TOO_LARGE and count > 1:
            self._bytes_max[partition] = sum(map(len, waiting[partition][:count])) // 2
            return True
        if issubclass(error, RetriableError) or not issubclass(error, BrokerResponseError):
            return False
        raise PublishFailed(error.__name__)

    async def _round(
        self, waiting: dict[TopicPartition, list[bytes]]
    ) -> list[tuple[TopicPartition, int, type[KafkaError] | None]]:
        """Send the next batch of each partition to its leader, and say what became of each."""
        by_leader: dict[Any, dict[TopicPartition, tuple[int, bytes]]] = defaultdict(dict)
        now = int(time.time() * 1000)
        for partition, bodies in waiting.items():
            leader = self._brokers.cluster.leader_for_partition(partition)
            if leader is not None and leader != -1:
                by_leader[leader][partition] = self._batch(partition, bodies, now)
        outcomes = []
        sent = [(batches, self._send(leader, batches)) for leader, batches in by_leader.items()]
        for batches, answer in sent:
            try:
                errors = _errors(await answer)
            except KafkaError as error:  # of the connection: whether it arrived is not known
                errors = dict.fromkeys(batches, type(error))
            self._check()
            outcomes += [(it, count, errors[it]) for it, (count, _) in batches.items()]
        return outcomes

    def _batch(self, partition: TopicPartition, bodies: Sequence[bytes], now: int) -> tuple[int, bytes]:
        """As many as fit, and one at least."""
        size, count = 0, 0
        for body in bodies:
            size += len(body) + RECORD_OVERHEAD
            if count and size > self._bytes_max[partition]:
                break
            count += 1
        batch = batch_of(
            bodies[:count],
            producer_id=self._producer_id,
            epoch=self._epoch,
            sequence=self._sequences[partition],
            timestamp_ms=now,
        )
        return count, batch

    def _send(self, leader: Any, batches: Mapping[TopicPartition, tuple[int, bytes]]) -> Any:
        topics = defaultdict(list)
        for partition, (_, batch) in batches.items():
            topics[partition.topic].append(
                ProduceRequest.TopicProduceData.PartitionProduceData(index=partition.partition, records=batch)
            )
        request = ProduceRequest(
            transactional_id=None,
            acks=ALL_REPLICAS,
            timeout_ms=int(self._seconds_max * 1000 / 3),
            topic_data=[
                ProduceRequest.TopicProduceData(name=name, partition_data=data)
                for name, data in topics.items()
            ],
            min_version=3,
            max_version=PRODUCE_VERSION_MAX,
        )
        self._check()
        try:
            return self._brokers.send(request, node_id=leader)
        except KafkaError as error:  # the leader is known no longer
            return Future().failure(error)

    def _check_halted(self) -> None:
        if self._halted:
            raise PublishFailed("halted")

    def _check(self) -> None:
        """Right before anything goes out: whoever was stopped in between must not send it afterwards."""
        self._check_halted()
        if not self._permitted():
            raise PublishFailed("not permitted any more")


def _raise_for(code: int) -> None:
    if code:
        error: type[KafkaError] = for_code(code)
        raise error


def _errors(answer: Any) -> dict[TopicPartition, type[KafkaError] | None]:
    return {
        TopicPartition(topic.name, it.index): for_code(it.error_code) if it.error_code else None
        for topic in answer.responses
        for it in topic.partition_responses
    }
