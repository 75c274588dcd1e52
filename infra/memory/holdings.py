"""Which records name whom, and when they last moved, in memory: the twin of the one in PostgreSQL."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Sequence
from uuid import UUID

from infra.memory.views import MemoryViews
from projections.timeline import Entry, kind_of
from services.retention import OF_PART, Holding


class MemoryHoldings:
    """Implements `infra.retention.Holdings`."""

    def __init__(self, views: MemoryViews) -> None:
        self._views = views

    async def everybody(
        self, topics: Collection[str], *, after: UUID | None = None
    ) -> AsyncGenerator[tuple[UUID, Sequence[Holding]], None]:
        named = self._named()
        for subject_id in sorted(it for it in named if after is None or it > after):
            yield subject_id, self._held(subject_id, named[subject_id], topics)

    async def of(
        self, subject_ids: Collection[UUID], topics: Collection[str]
    ) -> dict[UUID, Sequence[Holding]]:
        named = self._named()
        return {it: self._held(it, named[it], topics) for it in subject_ids if it in named}

    def _named(self) -> dict[UUID, set[UUID]]:
        named: dict[UUID, set[UUID]] = defaultdict(set)
        for it in self._views.rows_of_timeline.values():
            for subject_id in it.subjects:
                named[subject_id].add(it.originator_id)
        return named

    def _held(self, subject_id: UUID, ids: set[UUID], topics: Collection[str]) -> list[Holding]:
        return [self._holding(subject_id, id, topics) for id in sorted(ids)]

    def _holding(self, subject_id: UUID, id: UUID, topics: Collection[str]) -> Holding:
        entries = [it for _, it in sorted(self._views.rows_of_timeline.items()) if it.originator_id == id]
        part = subject_id not in entries[0].subjects

        def counts(it: Entry) -> bool:
            return part and subject_id in it.subjects if it.topic in OF_PART else it.topic in topics

        return Holding(
            record_id=id,
            kind=kind_of(entries[0].topic),
            last_activity=max(it.occurred_at for it in entries),
            latest={it.topic: (it.position, it.occurred_at) for it in entries if counts(it)},
            part=part,
        )
