"""How records ended so far, in memory: the twin of the one in PostgreSQL."""

from collections.abc import Collection, Mapping
from uuid import UUID

from domain.model import Event
from infra.memory.eventstore import MemoryEventStore


class MemoryLastEvents:
    """Implements `services.lawfulness.LastEvents`."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store

    async def last_of(self, ids: Collection[UUID]) -> Mapping[UUID, Event]:
        histories = {id: (await self._store.load(id)).events for id in ids}
        return {id: events[-1] for id, events in histories.items() if events}
