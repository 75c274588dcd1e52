"""Whole views as they were: the log folded anew into memory, by the same projections, asked the same way.

Only the events of the kinds of record that matter are read. Memory holds one row a record, some 2 kB each,
and no event: at most a million rows, and then it is refused.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.persistence import Notification

from domain.catalogue import AGGREGATES
from domain.model import DomainError
from infra.history.segments import Bounds, Decoder
from infra.memory.views import MemoryViews
from infra.outage import is_of_event
from infra.undecoded import TolerantDecoder, Undecoded
from projections import directory, pipeline, tickets
from projections.model import Project, Row
from services.ports import BlindIndex, KeyRing, Recorded, Unsealer

PAGE = 500
ROWS_MAX = 1_000_000
Progress = Callable[[int, int], None]
"""Told the position reached, and the position to reach."""


class TooManyRecords(DomainError):
    """A view of a past time is folded in memory, and holds a million records at most."""


class TopicReader(Protocol):
    """Reads the events of some topics in order of position."""

    async def of_topics(
        self, topics: Sequence[str], after: int, until: int, limit: int
    ) -> Sequence[Notification]: ...

    async def horizon(self) -> int: ...


class Records(Protocol):
    """Folds single records, as far as a view shows them."""

    async def as_of(self, project: Project[Any], record_id: UUID, bounds: Bounds) -> Row | None: ...


@dataclass(slots=True)
class _Fold:
    """Views as of two times, and the position up to which the log is folded into them.

    `apart`: records of which a projection cannot digest an event: each is folded by itself.
    """

    kinds: tuple[str, ...]
    bounds: Bounds
    views: MemoryViews
    position: int = 0
    apart: set[tuple[Project[Any], UUID]] = field(default_factory=set)


class Replays:
    """Folds views, one at a time in a process; the last one is kept, and goes on from where it was."""

    def __init__(
        self,
        reader: TopicReader,
        mapper: Decoder,
        records: Records,
        unsealer: Unsealer,
        blind: BlindIndex,
        ring: KeyRing,
        *,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self._reader = reader
        self._mapper = TolerantDecoder(mapper)
        self._records = records
        self._empty = partial(MemoryViews, unsealer, blind, ring)
        self._rows_max = rows_max
        self._last: _Fold | None = None
        self._turn = asyncio.Lock()

    async def views(
        self,
        kinds: Sequence[str],
        as_of: datetime | None,
        known_at: datetime | None,
        progress: Progress = lambda done, total: None,
    ) -> MemoryViews:
        """The views of these kinds of record as of these times. Raises `TooManyRecords`.

        Nothing in them is opened. They are the caller's until the next call: later ones may move them on.
        """
        async with self._turn:
            fold, bounds = self._last, Bounds(as_of, known_at)
            if fold is None or fold.bounds != bounds or not set(kinds) <= set(fold.kinds):
                fold = _Fold(tuple(kinds), bounds, self._empty())
            self._last = None
            await self._go_on(fold, progress)
            self._last = fold
            return fold.views

    async def _go_on(self, fold: _Fold, progress: Progress) -> None:
        horizon = await self._reader.horizon()
        topics = [it.TOPIC for kind in fold.kinds for it in AGGREGATES[kind]]
        rows = _rows_of(fold.views)
        while page := await self._reader.of_topics(topics, fold.position, horizon, PAGE):
            for it in map(self._mapper.to_domain_event, page):
                for project, of_view in rows.items():
                    place = project, it.originator_id
                    if place not in fold.apart and not _digested(project, of_view, it, fold.bounds):
                        fold.apart.add(place)
            fold.position = page[-1].id
            if sum(map(len, rows.values())) > self._rows_max:
                raise TooManyRecords(",".join(fold.kinds))
            progress(fold.position, horizon)
            await asyncio.sleep(0)  # others have their turn: folding is work for the processor alone
        # As far as the live views show them: up to the event at which they are parked.
        for project, id in fold.apart:
            row = await self._records.as_of(project, id, fold.bounds)
            rows[project].pop(id, None)
            if row is not None:
                rows[project][id] = row
        progress(horizon, horizon)


def _digested(project: Project[Any], rows: dict[UUID, Row], it: Recorded, bounds: Bounds) -> bool:
    """Whether the projection took the event, where it counts; else the record's row is no longer right."""
    if isinstance(it, Undecoded):
        return False
    if bounds.hold(it.event.timestamp, it.envelope.recorded_at):
        try:
            project(rows, it)
        except Exception as error:
            if not is_of_event(error):
                raise
            return False
    return True


def _rows_of(views: MemoryViews) -> Mapping[Any, dict[Any, Row]]:
    rows: Mapping[Any, Any] = {
        directory.project: views.rows_of_directory,
        pipeline.project: views.rows_of_pipeline,
        tickets.project: views.rows_of_tickets,
    }
    return rows
