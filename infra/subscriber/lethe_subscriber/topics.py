"""Events from Kafka: a member of a consumer group that keeps its offsets in the subscriber's own database.

Needs the extra `kafka`.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import AuthorizationError, KafkaError
from kafka.structs import MemberState

from lethe_subscriber.api import Api
from lethe_subscriber.errors import AnotherLog, NotAllowed, Unreachable
from lethe_subscriber.received import Received
from lethe_subscriber.sources import Mark, Marks, Page

PAGE_EVENTS: Final = 500
POLL_SECONDS: Final = 0.5
"""How long a poll lasts: it cannot be interrupted, and a stop should not wait long."""
BOOTSTRAP_MS_MAX: Final = 5_000
CLOSE_MS_MAX: Final = 5_000
RECORD_BYTES_MAX: Final = 4 * 1024 * 1024
POLL_AGAIN_MS_MAX: Final = 15 * 60 * 1_000
"""How long the handlers of a page may take until another member is given its partition."""
METADATA_MS_MAX: Final = 5_000
"""How old the knowledge of the topics may be. kafka-python 3.0.12 may believe at first that a topic has no
partitions, and would keep to that for five minutes."""

log = logging.getLogger("lethe_subscriber")


class KafkaTopics:
    """Implements `Source`: the topics of a namespace, or `topics` that a replay made.

    Subscribers of one name share the partitions between them, as one consumer group; to be several they need
    a store that they share, such as `PostgreSQL`. A replay of some types, or of a part of the log, is
    `partial`: the versions of a record ascend there, with gaps. `api` is for opening boxes and acknowledging
    erasures.
    """

    name = "kafka"
    interruptible = False

    def __init__(
        self,
        servers: str,
        namespace: str = "main",
        *,
        api: Api | None = None,
        group: str | None = None,
        topics: Sequence[str] = (),
        partial: bool = False,
    ) -> None:
        self.api = api
        self.partial = partial
        self.begins_later = partial
        self._servers = servers.split(",")
        self._namespace = namespace
        self._group = group
        self._topics = list(topics)
        self._consumer: KafkaConsumer | None = None
        self._stored: Marks = dict
        self._pages: deque[tuple[TopicPartition, Page]] = deque()
        self._fresh: set[TopicPartition] = set()
        self._marks: dict[TopicPartition, Mark] = {}

    def open(self, subscriber: str, streams: Sequence[str], marks: Marks) -> None:
        self.close()
        self._stored = marks
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=self._servers,
                bootstrap_timeout_ms=BOOTSTRAP_MS_MAX,
                client_id="lethe-subscriber",
                group_id=self._group or subscriber,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                max_partition_fetch_bytes=RECORD_BYTES_MAX,
                metadata_max_age_ms=METADATA_MS_MAX,
                session_timeout_ms=10_000,
                heartbeat_interval_ms=1_000,
                max_poll_interval_ms=POLL_AGAIN_MS_MAX,
                reconnect_backoff_max_ms=1_000,
                metrics_enabled=False,
            )
            topics = self._topics or [f"{self._namespace}.{it}" for it in streams]
            self._consumer.subscribe(topics, listener=_Assignment(self._fresh.update, self._drop))
        except KafkaError as error:
            raise _unreachable(error) from None

    def next(self, seconds: float) -> Page | None:
        if not self._pages:
            try:
                self._poll(min(seconds, POLL_SECONDS))
            except KafkaError as error:
                raise _unreachable(error) from None
        return self._pages.popleft()[1] if self._pages else None

    def settled(self, page: Page) -> None:
        # For those who watch the group's lag; what counts is in the subscriber's store.
        offsets = {_partition(it): OffsetAndMetadata(page.end, "", -1) for it in page.parts}
        if self._consumer is not None:
            self._consumer.commit_async(offsets, callback=_log_commit)

    def caught_up(self) -> bool:
        if self._consumer is None or self._pages or self._fresh:
            return False
        try:
            assigned = self._consumer.assignment()
            ends = self._consumer.end_offsets(list(assigned)) if assigned else {}
            return bool(ends) and all((self._consumer.position(it) or 0) >= end for it, end in ends.items())
        except KafkaError as error:
            raise _unreachable(error) from None

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._pages.clear()
        self._fresh.clear()
        self._marks.clear()
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=CLOSE_MS_MAX)
        if self.api is not None:
            self.api.close()

    def _poll(self, seconds: float) -> None:
        assert self._consumer is not None  # noqa: S101 - `open` comes first
        polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=PAGE_EVENTS)
        # kafka-python (3.0.12) forgets a join that a poll had no time left for: this member would never take
        # the share that the group has given it, nor tell the group that it lives.
        if self._consumer.group_metadata().state is MemberState.REBALANCING:
            self._consumer._coordinator.request_rejoin()
        fresh = frozenset(self._fresh)
        if fresh:
            self._seek(fresh)
            self._fresh -= fresh
        for partition, records in polled.items():
            # Those of a partition that was just assigned were fetched from the group's offset, not from ours.
            if partition not in fresh and (page := self._page(partition, records)) is not None:
                self._pages.append((partition, page))

    def _seek(self, fresh: frozenset[TopicPartition]) -> None:
        """Go on where the store says; with the event before that, so that the log is known again."""
        assert self._consumer is not None  # noqa: S101
        stored = self._stored()
        mine = fresh & self._consumer.assignment()
        ends = self._consumer.end_offsets(list(mine)) if mine else {}
        for partition in mine:
            mark = stored.get(_part(partition), Mark(0))
            if mark.end > ends[partition]:
                raise AnotherLog(
                    f"{_part(partition)} ends at offset {ends[partition]}, and {mark.end} of it are settled:"
                    " it was made anew, or is of another broker"
                )
            self._marks[partition] = mark
            if mark.end == 0:
                self._consumer.seek_to_beginning(partition)
            else:
                self._consumer.seek(partition, mark.end - 1)

    def _page(self, partition: TopicPartition, records: Sequence[Any]) -> Page | None:
        mark = self._marks.get(partition, Mark(0))
        events, ends = [], []
        for it in records:
            event = Received.from_record(it.value, it.headers)
            if it.offset >= mark.end:
                events.append(event)
                ends.append(it.offset + 1)
            elif it.offset == mark.end - 1 and mark.last_id not in (None, event.id):
                raise AnotherLog(f"{_part(partition)} does not hold what this subscriber has settled of it")
        return Page((_part(partition),), events, ends, ends[-1]) if events else None

    def _drop(self, revoked: Iterable[TopicPartition]) -> None:
        """Their new owner begins at its marks: hand out no more of them."""
        gone = frozenset(revoked)
        self._fresh -= gone
        self._pages = deque(it for it in self._pages if it[0] not in gone)


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(
        self,
        assigned: Callable[[Iterable[TopicPartition]], None],
        revoked: Callable[[Iterable[TopicPartition]], None],
    ) -> None:
        self._assigned, self._revoked = assigned, revoked

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._revoked(revoked)


def _part(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"


def _partition(part: str) -> TopicPartition:
    topic, _, number = part.rpartition("/")
    return TopicPartition(topic, int(number))


def _log_commit(offsets: Mapping[TopicPartition, Any], answer: Any) -> None:
    if isinstance(answer, Exception):
        log.info("offsets of %d partitions not noted: %s", len(offsets), type(answer).__name__)


def _unreachable(error: KafkaError) -> Exception:
    if isinstance(error, AuthorizationError):
        return NotAllowed(f"the broker says {type(error).__name__}")
    return Unreachable(f"the stream cannot be read ({type(error).__name__})")
