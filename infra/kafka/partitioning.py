"""Which partition an aggregate's events go to: for ever the one it was born to, whatever is added later."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from eventsourcing.persistence import Notification
from kafka.partitioner.default import murmur2

BIRTHS_MAX = 100_000


class Growth(NamedTuple):
    """Aggregates whose first event lies above this position are spread over so many partitions."""

    from_position: int
    partitions: int


class Partitioning:
    """The partitions of the topics of a namespace, as they have grown."""

    def __init__(self, growths: Mapping[str, Sequence[Growth]]) -> None:
        """The growths of each topic, in order; the first is from position 0."""
        self._growths = growths
        self._births: dict[UUID | str, int] = {}
        self.has_grown = any(len(it) > 1 for it in growths.values())

    def unknown(self, notifications: Iterable[Notification]) -> set[UUID | str]:
        """The aggregates whose birth has to be looked up first. None where nothing has ever grown."""
        if not self.has_grown:
            return set()
        return {
            it.originator_id
            for it in notifications
            if it.originator_version > 1 and it.originator_id not in self._births
        }

    def learn(self, births: Mapping[UUID | str, int]) -> None:
        """The positions of the first events of aggregates."""
        self._births |= births
        while len(self._births) > BIRTHS_MAX:
            del self._births[next(iter(self._births))]

    def partition(self, topic: str, key: bytes, notification: Notification) -> int:
        """Where this event goes."""
        growths = self._growths[topic]
        if len(growths) == 1:
            return partition_of(key, growths[0].partitions)
        born = self._birth(notification)
        return partition_of(key, next(it.partitions for it in reversed(growths) if it.from_position < born))

    def _birth(self, notification: Notification) -> int:
        if notification.originator_version > 1:
            return self._births[notification.originator_id]
        self.learn({notification.originator_id: notification.id})
        return notification.id


@lru_cache(maxsize=65_536)  # the hash is in Python, and an aggregate's events come close together
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key among so many, as Kafka's own clients choose it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
