"""Segments: where the fold of a long record may start, so that it costs what changed since, not all of it.

After every 256th event of a record its row is kept, with the times of those events. To fold the record as of
two times one takes the newest row all of whose events lie within both; of the later segments only the events
that do, and the few that no segment covers yet. What comes out equals the plain fold.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from copy import copy
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, cast
from uuid import UUID

from eventsourcing.persistence import Notification

from infra.outage import is_of_event
from infra.undecoded import Decoder as Decoder
from infra.undecoded import TolerantDecoder, Undecoded
from projections.model import Project, Row, advance
from projections.timeline import kind_of
from services.ports import Recorded

SEGMENT_EVENTS = 256
VERSION_MAX = 2**63 - 1
SOURCES = ("domain/**/*.py", "projections/*.py", "infra/postgres/views/*.py", "infra/eventstore/mapper.py")
R = TypeVar("R", bound=Row)
Range: TypeAlias = tuple[UUID, int, int]
"""A record, and its versions above the first number up to the second."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which events count: those that were true `as_of` then, and were `known_at` that moment. None: all."""

    as_of: datetime | None = None
    known_at: datetime | None = None

    def hold(self, occurred_at: datetime, recorded_at: datetime) -> bool:
        return (self.as_of is None or occurred_at <= self.as_of) and (
            self.known_at is None or recorded_at <= self.known_at
        )


EVERYTHING = Bounds()


class RowTable(Protocol):
    """The rows of one kind of aggregate in one view, and the projection that makes them."""

    @property
    def view(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def aggregate(self) -> str: ...

    @property
    def kind(self) -> type[Any]: ...

    @property
    def project(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Start:
    """A record's row after its event of this version; no row where the view showed none."""

    version: int
    row: Row | None


BEGINNING = Start(0, None)


@dataclass(frozen=True, slots=True)
class _Begin:
    """Where a fold begins; not `fresh`: with the row that the one before ended with."""

    version: int
    row: Row | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a record's events, the times of each, and the row after the last.

    `occurred_max` and `recorded_max` are over all events up to here, not of this stretch alone.
    """

    record_id: UUID
    from_version: int
    to_version: int
    occurred: Sequence[datetime]
    recorded: Sequence[datetime]
    occurred_max: datetime
    recorded_max: datetime
    row: Row | None


@dataclass(frozen=True, slots=True)
class Passing:
    """Which versions in later segments lie within the bounds, and the version where the last segment ends."""

    versions: Sequence[int]
    covered: int


class Segments(Protocol):
    """Keeps segments. They are written once, and never change."""

    async def newest(
        self, table: RowTable, record_id: UUID, bounds: Bounds, *, version_max: int = VERSION_MAX
    ) -> Start:
        """The latest row up to `version_max` all of whose events lie within the bounds."""
        ...

    async def passing(self, table: RowTable, record_id: UUID, bounds: Bounds, *, after: int) -> Passing:
        """The events in segments above the version `after` that lie within the bounds."""
        ...

    async def last(self, table: RowTable, record_id: UUID) -> Segment | None:
        """The record's last segment, for the next one to go on from."""
        ...

    async def passed(self, table: RowTable, record_id: UUID) -> Set[int]:
        """The versions of the record's events that somebody decided the table's view goes on without."""
        ...

    async def write(self, table: RowTable, segments: Sequence[Segment]) -> None:
        """Keep the segments; those that are there already stay as they are."""
        ...


class VersionReader(Protocol):
    """Reads a record's events by their versions."""

    async def between(self, ranges: Sequence[Range]) -> Sequence[Notification]:
        """The events in these ranges, each record's in order."""
        ...

    async def at_versions(self, record_id: UUID, versions: Sequence[int]) -> Sequence[Notification]:
        """The record's events of these versions, in order."""
        ...


class Snapshots:
    """Folds records with the help of their segments."""

    def __init__(
        self,
        segments: Segments,
        reader: VersionReader,
        mapper: Decoder,
        tables: Sequence[RowTable],
        *,
        events_each: int = SEGMENT_EVENTS,
    ) -> None:
        self._segments = segments
        self._reader = reader
        self._mapper = TolerantDecoder(mapper)
        self._events_each = events_each
        self._tables = {table.aggregate: table for table in reversed(tables)}
        self._kinds: dict[Any, list[str]] = {}
        for table in self._tables.values():
            self._kinds.setdefault(table.project, []).append(table.aggregate)

    def table_of(self, kind: str) -> RowTable | None:
        """The table that shows records of this kind, where one does."""
        return self._tables.get(kind)

    async def as_of(self, project: Project[R], record_id: UUID, bounds: Bounds) -> R | None:
        """The record's row of the events within the bounds: equal to `projections.model.fold`."""
        kinds = self._kinds[project]
        if len(kinds) > 1:
            # One projection for several kinds of record: its first event tells which this is.
            first = await self._reader.at_versions(record_id, [1])
            kinds = [kind_of(it.topic) for it in first if kind_of(it.topic) in kinds]
        return cast("R | None", await self._row(self._tables[kinds[0]], record_id, bounds)) if kinds else None

    async def _row(self, table: RowTable, record_id: UUID, bounds: Bounds) -> Row | None:
        start = await self._segments.newest(table, record_id, bounds)
        passing = await self._segments.passing(table, record_id, bounds, after=start.version)
        covered = max(start.version, passing.covered)
        events = [
            *(await self._reader.at_versions(record_id, passing.versions) if passing.versions else ()),
            *await self._reader.between([(record_id, covered, VERSION_MAX)]),
        ]
        recorded = [self._mapper.to_domain_event(it) for it in events]
        try:
            return self.go_on(table, record_id, copied(start.row), recorded, bounds)
        except Exception as error:
            if not is_of_event(error):
                raise
        passed = await self._segments.passed(table, record_id)
        return _as_shown(table, record_id, start.row, recorded, bounds, passed)

    async def rows_at(
        self, kind: str, wanted: Mapping[UUID, Sequence[int]]
    ) -> dict[tuple[UUID, int], Row | None]:
        """The rows of records of one kind, each after its events of the versions asked for (0: none yet).

        The versions of a record come in ascending order.
        """
        table = self._tables[kind]
        starts = {id: await self._starts(table, id, versions) for id, versions in wanted.items()}
        ranges = [
            (id, start.version, version)
            for id, versions in wanted.items()
            for start, version in zip(starts[id], versions, strict=True)
            if start.version < version
        ]
        events: dict[UUID, dict[int, Recorded]] = {id: {} for id in wanted}
        for it in map(self._mapper.to_domain_event, await self._reader.between(ranges)):
            events[it.originator_id][it.originator_version] = it
        found: dict[tuple[UUID, int], Row | None] = {}
        for id, versions in wanted.items():
            row: Row | None = None
            for start, version in zip(starts[id], versions, strict=True):
                row = start.row if start.fresh else row
                steps = [events[id][step] for step in range(start.version + 1, version + 1)]
                row = found[id, version] = await self.step(table, id, row, steps)
        return found

    async def step(self, table: RowTable, id: UUID, row: Row | None, steps: Sequence[Recorded]) -> Row | None:
        """The row moved on by all of these events, as far as the view shows them: it may be parked at one."""
        if row is not None and steps and row.version + 1 < steps[0].originator_version:
            return row
        try:
            return self.go_on(table, id, copied(row), steps)
        except Exception as error:
            if not is_of_event(error):
                raise
        return _as_shown(table, id, row, steps, EVERYTHING, await self._segments.passed(table, id))

    async def _starts(self, table: RowTable, id: UUID, versions: Sequence[int]) -> list["_Begin"]:
        """Where to begin for each version: a segment, or the version before where that is nearer."""
        found: list[_Begin] = []
        reached = 0
        for version in versions:
            start = BEGINNING
            if version - reached >= self._events_each:
                start = await self._segments.newest(table, id, EVERYTHING, version_max=version)
            further = start.version > reached or not found
            found.append(_Begin(start.version, start.row, True) if further else _Begin(reached, None, False))
            reached = version
        return found

    @staticmethod
    def go_on(
        table: RowTable,
        record_id: UUID,
        row: Row | None,
        events: Iterator[Recorded] | Sequence[Recorded],
        bounds: Bounds = EVERYTHING,
    ) -> Row | None:
        """The row moved on by those of the events that lie within the bounds: the very row that was given."""
        rows: dict[UUID, Row] = {} if row is None else {record_id: row}
        for recorded in events:
            if isinstance(recorded, Undecoded):
                raise recorded.error
            if bounds.hold(recorded.event.timestamp, recorded.envelope.recorded_at):
                table.project(rows, recorded)
        return rows.get(record_id)


def _as_shown(
    table: RowTable,
    record_id: UUID,
    row: Row | None,
    events: Sequence[Recorded],
    bounds: Bounds,
    passed: Set[int],
) -> Row | None:
    """The fold of a record of which an event cannot be digested, as the view shows it: up to that event.

    `passed`: the versions of events that somebody decided to go on without.
    """
    for recorded in events:
        try:
            row = Snapshots.go_on(table, record_id, copied(row), [recorded], bounds)
        except Exception as error:
            if not is_of_event(error):
                raise
            if recorded.originator_version not in passed:
                return row
            if row is not None:
                row = advance({record_id: copied(row) or row}, recorded) or row
    return row


def copied(row: R | None) -> R | None:
    """The row as it is now, for the projection to go on with the other. Parts are replaced, never changed."""
    twin = copy(row)
    for it in fields(row) if row is not None else ():
        if isinstance(value := getattr(twin, it.name), list):
            setattr(twin, it.name, list(value))
    return twin


@cache
def form() -> bytes:
    """Names the program's way from events to rows: a digest of the sources that have a part in it.

    A row folded by other sources may be another row, so it is never taken for a start.
    """
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for source in sorted({found for pattern in SOURCES for found in root.glob(pattern)}):
        digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()[:16]
