"""Subscribers in memory: the twin of the view in PostgreSQL."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from uuid import UUID

from projections.directory import DirectoryRow, ErasureRow
from projections.subscribers import SubscriberFilter, SubscriberRow


class MemorySubscribers:
    """Implements `projections.subscribers.Subscribers` over the rows that its `project` keeps."""

    def __init__(self, directory: Mapping[UUID, DirectoryRow]) -> None:
        self._directory = directory
        self.rows: dict[UUID, SubscriberRow] = {}

    async def subscriber(self, id: UUID) -> SubscriberRow | None:
        return deepcopy(self.rows.get(id))

    async def list_subscribers(
        self, where: SubscriberFilter, *, limit: int, after: UUID | None = None
    ) -> list[SubscriberRow]:
        found = [
            it
            for it in self.rows.values()
            if where.name in (None, it.name)
            and where.living in (None, it.ended_at is None)
            and (after is None or it.id > after)
        ]
        return deepcopy(sorted(found, key=lambda it: it.id)[:limit])

    async def unacknowledged(self, subscriber: SubscriberRow, *, limit: int) -> list[UUID]:
        silent = [
            (it.erased_at, it.id)
            for it in self._directory.values()
            if isinstance(it, ErasureRow)
            and it.erased_at is not None
            and it.erased_at >= subscriber.registered_at
            and subscriber.name not in it.acknowledged_by
        ]
        return [id for _, id in sorted(silent)[:limit]]

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        return {id: self.rows[id].name for id in ids if id in self.rows}
