"""Segments in memory: the twin of those in PostgreSQL."""

from collections import defaultdict
from collections.abc import Sequence, Set
from copy import deepcopy
from dataclasses import replace
from uuid import UUID

from infra.history.segments import BEGINNING, VERSION_MAX, Bounds, Passing, RowTable, Segment, Start


class MemorySegments:
    """Implements `infra.history.segments.Segments`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, UUID], dict[int, Segment]] = defaultdict(dict)

    async def newest(
        self, table: RowTable, record_id: UUID, bounds: Bounds, *, version_max: int = VERSION_MAX
    ) -> Start:
        for it in reversed(self._of(table, record_id)):
            if it.to_version <= version_max and bounds.hold(it.occurred_max, it.recorded_max):
                return Start(it.to_version, deepcopy(it.row))
        return BEGINNING

    async def passing(self, table: RowTable, record_id: UUID, bounds: Bounds, *, after: int) -> Passing:
        later = [it for it in self._of(table, record_id) if it.to_version > after]
        versions = [
            it.from_version + place
            for it in later
            for place, times in enumerate(zip(it.occurred, it.recorded, strict=True))
            if bounds.hold(*times)
        ]
        return Passing(versions, later[-1].to_version if later else 0)

    async def last(self, table: RowTable, record_id: UUID) -> Segment | None:
        kept = self._of(table, record_id)
        return replace(kept[-1], row=deepcopy(kept[-1].row)) if kept else None

    async def passed(self, table: RowTable, record_id: UUID) -> Set[int]:
        return frozenset()  # nobody skips an event of a log in memory

    async def write(self, table: RowTable, segments: Sequence[Segment]) -> None:
        for it in segments:
            self._kept[table.name, it.record_id].setdefault(it.to_version, replace(it, row=deepcopy(it.row)))

    def _of(self, table: RowTable, record_id: UUID) -> list[Segment]:
        return [it for _, it in sorted(self._kept[table.name, record_id].items())]


class MemoryCheckpoints:
    """Implements `infra.history.segmenting.Checkpoints`."""

    def __init__(self) -> None:
        self._position = 0

    async def position(self) -> int:
        return self._position

    async def advance(self, position: int) -> None:
        self._position = max(self._position, position)
