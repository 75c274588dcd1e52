"""Writes the segments of long records, behind the log, as they come about."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog

from infra.history.segments import (
    SEGMENT_EVENTS,
    Decoder,
    RowTable,
    Segment,
    Segments,
    Snapshots,
    VersionReader,
)
from infra.outage import is_of_event
from projections.model import Row
from projections.timeline import kind_of
from services.ports import Recorded

log = structlog.get_logger(__name__)

PAGE = 500
STRETCH = 8
"""How many segments of one record are folded and written at once."""
SPARED_POSITIONS = 10_000
"""How far the log may go on, with nothing to write, before that is noted."""


class MilestoneReader(VersionReader, Protocol):
    """Finds the records that have come to the end of a segment."""

    async def milestones(
        self, after: int, until: int, limit: int
    ) -> Sequence[tuple[UUID, int, str, int]]: ...

    async def horizon(self) -> int: ...


class Checkpoints(Protocol):
    """How far the log was looked through, for this form of the program."""

    async def position(self) -> int: ...

    async def advance(self, position: int) -> None: ...


class Segmenter:
    """Follows the log. May run in several processes: a segment is the same whoever writes it."""

    def __init__(
        self,
        segments: Segments,
        snapshots: Snapshots,
        reader: MilestoneReader,
        mapper: Decoder,
        checkpoints: Checkpoints,
        *,
        events_each: int = SEGMENT_EVENTS,
    ) -> None:
        self._segments = segments
        self._snapshots = snapshots
        self._reader = reader
        self._mapper = mapper
        self._checkpoints = checkpoints
        self._events_each = events_each

    async def advance(self) -> int:
        """Write what is missing up to the log's horizon; how many records had something."""
        horizon, position, count = await self._reader.horizon(), await self._checkpoints.position(), 0
        while page := await self._reader.milestones(position, horizon, PAGE):
            for record_id, version, topic, at in page:
                table = self._snapshots.table_of(kind_of(topic))
                if table is not None:
                    count += await self._completed(table, record_id, version)
                position = max(position, at)
            await self._checkpoints.advance(position)
        if horizon >= position + SPARED_POSITIONS or (count and horizon > position):
            await self._checkpoints.advance(horizon)
        return count

    async def _completed(self, table: RowTable, record_id: UUID, version: int) -> bool:
        """False: it stumbles, and goes without, for segments are there for speed alone.

        It is tried again with its next one. What it stumbles over parks it in its view, too.
        """
        try:
            await self.complete(table, record_id, version)
        except Exception as error:
            if not is_of_event(error):
                raise
            log.error("segment_not_written", record=record_id, exc_info=error)
            return False
        return True

    async def complete(self, table: RowTable, record_id: UUID, version: int) -> None:
        """Write the record's segments up to the one that ends at this version."""
        last = await self._segments.last(table, record_id)
        while (done := last.to_version if last else 0) < version:
            until = min(version, done + STRETCH * self._events_each)
            stored = await self._reader.between([(record_id, done, until)])
            fresh = self._cut(table, record_id, last, [self._mapper.to_domain_event(it) for it in stored])
            await self._segments.write(table, fresh)
            last = fresh[-1]

    def _cut(
        self, table: RowTable, record_id: UUID, last: Segment | None, events: Sequence[Recorded]
    ) -> list[Segment]:
        found: list[Segment] = []
        for place in range(0, len(events), self._events_each):
            part = events[place : place + self._events_each]
            row = self._snapshots.go_on(table, record_id, deepcopy(last.row) if last else None, part)
            last = _segment(record_id, last, part, row)
            found.append(last)
        return found


def _segment(record_id: UUID, last: Segment | None, part: Sequence[Recorded], row: Row | None) -> Segment:
    occurred = [it.event.timestamp for it in part]
    recorded = [it.envelope.recorded_at for it in part]
    before: tuple[list[datetime], list[datetime]] = (
        ([last.occurred_max], [last.recorded_max]) if last else ([], [])
    )
    return Segment(
        record_id=record_id,
        from_version=part[0].originator_version,
        to_version=part[-1].originator_version,
        occurred=occurred,
        recorded=recorded,
        occurred_max=max(occurred + before[0]),
        recorded_max=max(recorded + before[1]),
        row=row,
    )
