"""Events for projections, from the topics: a member of a consumer group."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import structlog
from eventsourcing.persistence import StoredEvent
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState

from infra.kafka.record import from_record
from infra.kafka.topics import BOOTSTRAP_MS_MAX, ensure_topics
from services.ports import Recorded, Unavailable

METADATA_MS_MAX = 5_000
"""How old a member's knowledge of the topics may be.

kafka-python (3.0.12) takes the answer to an older question for the one that it asked when it subscribed: the
group's leader then hands out the partitions of topics that it knows nothing of, none, until it asks again.
Partitions that are added are found as soon, too.
"""

CLOSE_MS = 5_000
SESSION_MS = 6_000
"""How long a member may be silent before its partitions go to others; brokers allow no less by default."""

FETCH_BYTES_MAX = 16 * 1024 * 1024
PARTITION_BYTES_MAX = 512 * 1024
"""What a member holds of what it has not been asked for yet, of a broker and of a partition: it fetches no
more of a partition before that is used up. A record that is larger comes all the same."""

COMMIT_SECONDS = 0.25
"""How often offsets are committed while events keep coming. The group waits for each commit; and what comes
again to whoever takes over unawares, a quarter of a second of it, is skipped."""

MOVED_ON = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
"""What a commit says when the partitions are somebody else's by now."""

log = structlog.get_logger(__name__)


class Decoder(Protocol):
    """What the source needs of the mapper."""

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        """The event, its position taken from the notification, personal fields sealed."""
        ...


class KafkaSource:
    """Implements `EventSource`. A partition's events come in order; after a rebalance some come again.

    Offsets are committed of what is `done` only, so of what is projected and durable: some time later, at the
    latest by `close`. Where partitions have been taken away meanwhile, their new owner gets those events
    again: rows skip what they have applied.
    A cancelled `next` loses nothing: what it had fetched comes with the following one.
    """

    def __init__(self, bootstrap_servers: str, group: str, topics: Sequence[str], mapper: Decoder) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.group = group
        self.topics = list(topics)
        self.mapper = mapper
        self._consumer: KafkaConsumer | None = None
        self._fetched: list[Any] = []
        self._handed_out: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        # The consumer may be used by one thread at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"kafka-{group}")

    async def next(self, *, limit: int, timeout: float) -> Sequence[Recorded]:
        """Up to `limit` further events; none when the time (seconds) is up. Raises `Unavailable`."""
        if not self._fetched:
            await self._call(lambda: self._fetch(limit, timeout))
        records, self._fetched = self._fetched[:limit], self._fetched[limit:]
        for it in records:
            self._handed_out[TopicPartition(it.topic, it.partition)] = it.offset + 1
        return [self.mapper.to_domain_event(from_record(it.value, it.headers)) for it in records]

    async def done(self) -> None:
        """Everything handed out so far is projected and durable: others need not be given it."""
        await self._call(self._finish)

    def partitions(self) -> int:
        """How many partitions are this member's share just now; 0 until it has joined."""
        return 0 if self._consumer is None else len(self._consumer.assignment())

    async def close(self) -> None:
        """Leave the group; what was not `done` will be handed out again."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except KafkaError as error:
            raise Unavailable(f"the stream cannot be read just now ({type(error).__name__})") from error

    def _fetch(self, limit: int, timeout: float) -> None:
        if self._consumer is None:
            self._consumer = self._open()
        polled = self._consumer.poll(timeout_ms=int(timeout * 1000), max_records=limit)
        self._keep_joining(self._consumer)
        self._fetched += [record for records in polled.values() for record in records]
        if not self._fetched:
            self._commit()  # of what came last: nothing further may come for long

    def _keep_joining(self, consumer: KafkaConsumer) -> None:
        """Have the next poll go on with the join that this one has run out of time for.

        kafka-python (3.0.12) forgets one that other partitions were the reason of: the group has given this
        member its share, and the member never takes it, nor tells the group that it lives.
        """
        if consumer.group_metadata().state is MemberState.REBALANCING:
            consumer._coordinator.request_rejoin()

    def _open(self) -> KafkaConsumer:
        ensure_topics(self.bootstrap_servers, self.topics)
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap_servers.split(","),
            bootstrap_timeout_ms=BOOTSTRAP_MS_MAX,
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            fetch_max_bytes=FETCH_BYTES_MAX,
            max_partition_fetch_bytes=PARTITION_BYTES_MAX,
            metadata_max_age_ms=METADATA_MS_MAX,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 3,
            reconnect_backoff_max_ms=1_000,
            metrics_enabled=False,
        )
        consumer.subscribe(self.topics, listener=_Forgetting(self._forget))
        return consumer

    def _forget(self, taken: Sequence[TopicPartition]) -> None:
        """Their new owner begins at the last commit: hand out no more of them, and commit nothing back."""
        self._fetched = [it for it in self._fetched if TopicPartition(it.topic, it.partition) not in taken]
        for partition in taken:
            self._handed_out.pop(partition, None)
            self._done.pop(partition, None)

    def _finish(self) -> None:
        self._done |= self._handed_out
        self._handed_out.clear()
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self._commit()

    def _commit(self, timeout_ms: int | None = None) -> None:
        if self._consumer is None or not self._done:
            return
        offsets = {it: OffsetAndMetadata(offset) for it, offset in self._done.items()}
        self._done.clear()
        self._committed_at = time.monotonic()
        try:
            self._consumer.commit(offsets, timeout_ms=timeout_ms)
        except MOVED_ON as error:
            log.info("offsets_not_committed", error=type(error).__name__, partitions=len(offsets))

    def _close(self) -> None:
        try:
            self._commit(CLOSE_MS)
        except KafkaError as error:
            log.info("offsets_not_committed", error=type(error).__name__)  # they come again
        finally:
            # However that went: a member that is left open keeps its partitions from the others for minutes.
            consumer, self._consumer = self._consumer, None
            self._fetched.clear()
            self._handed_out.clear()
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=CLOSE_MS)


class _Forgetting(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, forget: Callable[[Sequence[TopicPartition]], None]) -> None:
        self.forget = forget

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self.forget(revoked)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        return
