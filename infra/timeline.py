"""Histories: what changed from what to what, when, who did it, why, by which request, and what came of it.

Personal values are opened for the reader; what is erased or withheld is left out, and the rest goes on.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from eventsourcing.persistence import Notification

from domain.model import Category, Erased, Sealed
from infra.history.changes import Change, changes, personal, public, said_by
from infra.history.segments import Bounds, Decoder, Snapshots, VersionReader, copied
from projections.model import Project, Row
from projections.timeline import (
    Effect,
    EntryFilter,
    Order,
    Place,
    TimelineIndex,
    kind_of,
    place_of,
)
from services.ports import NOTHING_STANDS, Ground, Recorded, Standing, Unsealer

Clear = str | Erased | None
R = TypeVar("R", bound=Row)


class PlaceReader(VersionReader, Protocol):
    """Reads stored events by where they are."""

    async def events_of(self, originator_id: UUID) -> Sequence[Notification]:
        """All events of one record, in order."""
        ...

    async def at_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions, in order."""
        ...


class StandingRegister(Protocol):
    """Knows what has to be heeded before a person's data is shown."""

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """Those of whom there is something to say. Never from memory."""
        ...


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event. `data`: its public fields as JSON values; `personal`: the others, None where absent.

    `changes` are those of the record, in the order in which its events were recorded; of a record that no
    view shows, what the event says. Where `restricted`, personal values are withheld (None).
    """

    position: int
    event_id: UUID
    record_id: UUID
    version: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    on_behalf_of: str | None
    purpose: str | None
    ground: Ground | None
    reason: Clear
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    data: Mapping[str, Any]
    personal: Mapping[str, Clear]
    changes: Sequence[Change]
    caused: Sequence[Effect]
    subject_ids: tuple[UUID, ...]
    restricted: bool


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Entries, where they go on, and whose values of which categories they show."""

    entries: Sequence[HistoryEntry]
    next: Place | None
    subjects: AbstractSet[UUID]
    categories: AbstractSet[Category]


class Histories:
    """Reads whole records from the log."""

    def __init__(self, reader: PlaceReader, mapper: Decoder, snapshots: Snapshots) -> None:
        self.reader = reader
        self.mapper = mapper
        self.snapshots = snapshots

    async def as_of(
        self, project: Project[R], record_id: UUID, *, as_of: datetime | None, known_at: datetime | None
    ) -> R | None:
        """The record's row as it was `as_of` then, as far as was `known_at` that moment; None: not there yet.

        However long the record, only what its segments do not cover is read.
        """
        return await self.snapshots.as_of(project, record_id, Bounds(as_of, known_at))

    async def of(self, record_id: UUID) -> Sequence[Recorded]:
        """The record's events in order, personal fields sealed; none where there is no such record."""
        return [self.mapper.to_domain_event(it) for it in await self.reader.events_of(record_id)]

    async def first(self, record_id: UUID) -> Recorded | None:
        """What the record began with."""
        found = await self.reader.at_versions(record_id, [1])
        return self.mapper.to_domain_event(found[0]) if found else None

    async def at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The events at these positions, in order."""
        return [self.mapper.to_domain_event(it) for it in await self.reader.at_positions(positions)]

    async def after(self, record_id: UUID, position: int, limit: int) -> Sequence[Recorded]:
        """The record's next events above the position, which is that of one of its events, or 0."""
        version = 0
        if position:
            last = await self.reader.at_positions([position])
            if not last or last[0].originator_id != record_id:
                return []
            version = last[0].originator_version
        page = await self.reader.between([(record_id, version, version + limit)])
        return [self.mapper.to_domain_event(it) for it in page]


class Timeline:
    """Reads histories page by page, never more of a record than the page and what leads up to it."""

    def __init__(
        self,
        histories: Histories,
        index: TimelineIndex,
        unsealer: Unsealer,
        register: StandingRegister,
    ) -> None:
        self.histories = histories
        self.index = index
        self.unsealer = unsealer
        self.register = register

    async def page(
        self,
        where: EntryFilter,
        *,
        order: Order = Order.POSITION,
        after: Place | None = None,
        limit: int,
        grounded: bool = False,
    ) -> HistoryPage:
        """The next events of those that are asked for. `grounded`: restricted values are shown, too.

        A record without further conditions is read from the log itself, so never behind; all else from the
        index, which follows it.
        """
        if where == EntryFilter(record_id=where.record_id) and where.record_id and order is Order.POSITION:
            history = await self.histories.after(where.record_id, after.position if after else 0, limit)
            last = Place(history[-1].position) if history else None
        else:
            found = await self.index.find(where, order=order, limit=limit, after=after)
            by_position = {it.position: it for it in await self.histories.at([it.position for it in found])}
            history = [by_position[it.position] for it in found]
            last = place_of(found[-1], order) if found else None
        page = await self._shown(history, grounded)
        return replace(page, next=last if len(history) == limit else None)

    async def differences(
        self, before: Row | None, after: Row | None, *, grounded: bool
    ) -> tuple[Sequence[Change], AbstractSet[UUID], AbstractSet[Category]]:
        """How two states of one record differ, opened; and whose values, of which categories, that shows."""
        found = changes(before, after)
        opening = await self._opening([part for it in found for part in (it.before, it.after)], grounded)
        return opening.opened(found), opening.subjects, opening.categories

    async def _shown(self, history: Sequence[Recorded], grounded: bool) -> HistoryPage:
        changed = await self._changes(history)
        effects = await self.index.effects([it.envelope.event_id for it in history])
        values = [part for found in changed.values() for it in found for part in (it.before, it.after)]
        values += [value for it in history for value in personal(it.event).values()]
        values += [it.envelope.reason for it in history]
        opening = await self._opening(values, grounded)
        entries = [
            _entry(it, opening, changed[it.position], effects.get(it.envelope.event_id, ())) for it in history
        ]
        return HistoryPage(entries, None, opening.subjects, opening.categories)

    async def _opening(self, values: Sequence[Any], grounded: bool) -> "_Opening":
        handles = list({it for it in values if isinstance(it, Sealed)})
        opened = await self.unsealer.open(handles)
        # Last, and never from memory: who is erased by now is not shown, even where a key was still at hand.
        standings = await self.register.standings({it.subject_id for it in handles})
        return _Opening(opened, standings, grounded)

    async def _changes(self, history: Sequence[Recorded]) -> dict[int, Sequence[Change]]:
        """What each of the events changed in its record, by position."""
        found: dict[int, Sequence[Change]] = {}
        kinds: dict[str, dict[UUID, dict[int, Recorded]]] = defaultdict(lambda: defaultdict(dict))
        for it in history:
            kind = kind_of(it.event.TOPIC)
            if self.histories.snapshots.table_of(kind) is None:
                found[it.position] = said_by(it.event)
            else:
                kinds[kind][it.originator_id][it.originator_version] = it
        for kind, records in kinds.items():
            found.update(await self._changes_of(kind, records))
        return found

    async def _changes_of(
        self, kind: str, records: Mapping[UUID, Mapping[int, Recorded]]
    ) -> dict[int, Sequence[Change]]:
        snapshots = self.histories.snapshots
        table = snapshots.table_of(kind)
        assert table is not None  # noqa: S101 - asked before
        # The first of each run of versions that follow one another: the rest goes on from it.
        begins = {
            id: [it - 1 for it in sorted(events) if it - 1 not in events] for id, events in records.items()
        }
        states = await snapshots.rows_at(kind, begins)
        found: dict[int, Sequence[Change]] = {}
        for id, events in records.items():
            row: Row | None = None
            for version, recorded in sorted(events.items()):
                if version - 1 not in events:
                    row = states[id, version - 1]
                before = copied(row)
                row = await snapshots.step(table, id, row, [recorded])
                found[recorded.position] = changes(before, row)
        return found


class _Opening:
    """Opened values, as far as they may be shown; and whose they are."""

    def __init__(
        self, opened: Mapping[Sealed, str | Erased], standings: Mapping[UUID, Standing], grounded: bool
    ) -> None:
        self._opened, self._standings, self._grounded = opened, standings, grounded
        self.subjects: set[UUID] = set()
        self.categories: set[Category] = set()

    def clear(self, value: Any) -> Any:
        """What is shown of the value; None where it is withheld."""
        if not isinstance(value, Sealed):
            return value
        standing = self._standings.get(value.subject_id, NOTHING_STANDS)
        if standing.erased or value.category in standing.erased_categories:
            return Erased(value.category)
        clear = self._opened[value]
        if isinstance(clear, Erased):
            return clear
        if self.withheld(value):
            return None
        self.subjects.add(value.subject_id)
        self.categories.add(value.category)
        return clear

    def withheld(self, value: Any) -> bool:
        """Whether the value is one of a person whose processing is restricted."""
        return (
            isinstance(value, Sealed)
            and not self._grounded
            and self._standings.get(value.subject_id, NOTHING_STANDS).restricted
        )

    def opened(self, found: Sequence[Change]) -> list[Change]:
        """The changes, opened; what turns out to be the same in clear words has not changed."""
        told: list[Change] = []
        for it in found:
            change = Change(it.field, self.clear(it.before), self.clear(it.after))
            same = isinstance(change.after, str) and change.before == change.after
            if not same:
                told.append(change)
        return told


def _entry(
    recorded: Recorded, opening: _Opening, changed: Sequence[Change], caused: Sequence[Effect]
) -> HistoryEntry:
    event, envelope = recorded.event, recorded.envelope
    own = personal(event)
    sealed = [it for it in (*own.values(), envelope.reason) if isinstance(it, Sealed)]
    return HistoryEntry(
        position=recorded.position,
        event_id=envelope.event_id,
        record_id=event.originator_id,
        version=event.originator_version,
        type=event.TOPIC,
        occurred_at=event.timestamp,
        recorded_at=envelope.recorded_at,
        actor=envelope.actor,
        on_behalf_of=envelope.on_behalf_of,
        purpose=envelope.purpose,
        ground=envelope.ground,
        reason=opening.clear(envelope.reason),
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        command_id=envelope.command_id,
        data=public(event),
        personal={name: opening.clear(value) for name, value in own.items()},
        changes=opening.opened(changed),
        caused=caused,
        subject_ids=tuple(dict.fromkeys(it.subject_id for it in sealed)),
        restricted=any(map(opening.withheld, sealed)),
    )
