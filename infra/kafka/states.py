"""Topics of states: for each view one compacted topic that holds the newest state of every record.

Key is the record's id, value its state as JSON; no value (a tombstone) once the person it is about is erased.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from kafka import TopicPartition

from infra.kafka.batches import body
from infra.kafka.delivery import Delivery
from infra.kafka.partitioning import partition_of
from infra.kafka.record import state_topic
from infra.kafka.topics import ensure_topics

DELIVERY_SECONDS_MAX = 30.0


class State(NamedTuple):
    """A record as it is in a view now; `document` is None where nothing of it is to be kept."""

    view: str
    id: UUID
    version: int
    position: int
    schema: str
    """The name of the schema of its documents."""
    document: bytes | None


class StateOutlet:
    """The topics of some views. Blocking, one thread at a time; `halt` from any."""

    def __init__(self, bootstrap_servers: str, namespace: str, views: Iterable[str]) -> None:
        """Whoever published states before is fenced off from here on. Raises `KafkaError`."""
        self._topics = {it: state_topic(namespace, it) for it in views}
        self.place = ensure_topics(bootstrap_servers, list(self._topics.values()), compacted=True)
        self._delivery = Delivery(
            bootstrap_servers,
            f"lethe-states-{namespace}",
            list(self._topics.values()),
            seconds_max=DELIVERY_SECONDS_MAX,
        )
        try:
            self._partitions = {it.name: it.partitions for it in self._delivery.topics()}
        except BaseException:
            self._delivery.close()
            raise

    def publish(self, states: Iterable[State]) -> None:
        """Return once all of them are acknowledged. Raises `PublishFailed`: then open another outlet."""
        waiting: dict[TopicPartition, list[bytes]] = defaultdict(list)
        for it in states:
            topic, key = self._topics[it.view], str(it.id).encode()
            headers = [
                ("content-type", b"application/json"),
                ("lethe_version", b"%d" % it.version),
                ("lethe_position", b"%d" % it.position),
                ("lethe_dataschema", it.schema.encode()),
            ]
            partition = TopicPartition(topic, partition_of(key, self._partitions[topic]))
            waiting[partition].append(body(key, it.document, headers))
        self._delivery.deliver(waiting)

    def halt(self) -> None:
        """Send nothing more."""
        self._delivery.halt()

    def close(self) -> None:
        """Close the connections, once nothing is under way."""
        self._delivery.close()
