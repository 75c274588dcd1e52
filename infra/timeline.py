"""The history of a record, and of a person: every event, its personal values opened or `Erased`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from domain.catalogue import layout
from domain.model import Erased, Event, Sealed
from infra.eventstore.mapper import UnknownEvent
from infra.history.segments import Bounds, Snapshots, VersionReader
from projections.model import Project, Row
from projections.timeline import TimelineIndex
from services.ports import Recorded, Unsealer

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


class Decoder(Protocol):
    """Turns the stored form into events, personal fields sealed."""

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded: ...


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event. `data`: its public fields as JSON values; `personal`: the others, None where absent."""

    position: int
    record_id: UUID
    version: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    reason: Clear
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    data: Mapping[str, Any]
    personal: Mapping[str, Clear]


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

    async def at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The events at these positions, in order."""
        return [self.mapper.to_domain_event(it) for it in await self.reader.at_positions(positions)]


class Timeline:
    """Reads histories page by page: the next page begins above the position of the last entry."""

    def __init__(self, histories: Histories, index: TimelineIndex, unsealer: Unsealer) -> None:
        self.histories = histories
        self.index = index
        self.unsealer = unsealer

    async def of_record(self, record_id: UUID, *, after: int = 0, limit: int) -> list[HistoryEntry]:
        """The record's events above the position `after`, in order. From the log itself: never behind."""
        history = await self.histories.of(record_id)
        return await self._entries([it for it in history if it.position > after][:limit])

    async def of_subject(self, subject_id: UUID, *, after: int = 0, limit: int) -> list[HistoryEntry]:
        """The events that name the data subject above the position `after`, in whatever records, in order."""
        found = await self.index.entries(subject_id, limit=limit, after=after)
        return await self._entries(await self.histories.at([it.position for it in found]))

    async def _entries(self, history: Sequence[Recorded]) -> list[HistoryEntry]:
        personal = [(recorded, _personal(recorded.event)) for recorded in history]
        handles = [
            it
            for recorded, values in personal
            for it in (*values.values(), recorded.envelope.reason)
            if isinstance(it, Sealed)
        ]
        opened = await self.unsealer.open(handles)
        return [_entry(recorded, values, opened) for recorded, values in personal]


def _entry(
    recorded: Recorded, personal: Mapping[str, Any], opened: Mapping[Sealed, str | Erased]
) -> HistoryEntry:
    def clear(value: Any) -> Clear:
        return opened[value] if isinstance(value, Sealed) else value

    event, envelope = recorded.event, recorded.envelope
    return HistoryEntry(
        position=recorded.position,
        record_id=event.originator_id,
        version=event.originator_version,
        type=event.TOPIC,
        occurred_at=event.timestamp,
        recorded_at=envelope.recorded_at,
        actor=envelope.actor,
        reason=clear(envelope.reason),
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        command_id=envelope.command_id,
        data=_public(event),
        personal={name: clear(value) for name, value in personal.items()},
    )


def _personal(event: Event) -> Mapping[str, Any]:
    if isinstance(event, UnknownEvent):
        return event.handles
    return {name: getattr(event, name) for name in layout(type(event)).personal}


def _public(event: Event) -> Mapping[str, Any]:
    if isinstance(event, UnknownEvent):
        return event.data
    declared = layout(type(event))
    return event.model_dump(mode="json", include={*declared.subjects, *declared.public})
