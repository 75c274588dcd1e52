"""Snapshots of long records in memory: the twin of those in PostgreSQL."""

from copy import deepcopy
from uuid import UUID

from domain.model import Aggregate
from infra.memory.eventstore import MemoryEventStore
from services.ports import History


class MemoryAggregateSnapshots:
    """Implements `services.ports.AggregateSnapshots`."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store
        self._kept: dict[UUID, tuple[Aggregate, bytes]] = {}

    async def load(self, originator_id: UUID) -> History:
        snapshot, last = self._kept.get(originator_id, (None, b""))
        if snapshot is not None:
            known = await self._store.at_versions(originator_id, [snapshot.version])
            if [it.state for it in known] != [last]:
                del self._kept[originator_id]
                snapshot = None
        history = await self._store.load(originator_id, after=snapshot.version - 1 if snapshot else 0)
        return History(history.events, history.position, history.last, deepcopy(snapshot))

    def keep(self, aggregate: Aggregate, last: bytes) -> None:
        kept = self._kept.get(aggregate.id)
        if kept is None or kept[0].version < aggregate.version:
            self._kept[aggregate.id] = deepcopy(aggregate), last

    async def close(self) -> None:
        """Nothing waits."""
