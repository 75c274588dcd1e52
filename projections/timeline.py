"""The timeline: which events are about what, name whom, were whose doing, and came from what.

So all that is held about a person is found, and all that somebody did, or that happened in a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from domain.catalogue import EVENTS, layout
from domain.erasure.events import ErasureRequested, SubjectErased
from domain.export.events import ExportEvent
from domain.model import Event
from projections.model import Recorded


class Entry(Struct, frozen=True, gc=False):
    """One event, and whom it is about. Its content stays in the log."""

    position: int
    originator_id: UUID
    version: int
    topic: str
    occurred_at: datetime
    recorded_at: datetime
    subjects: tuple[UUID, ...]
    event_id: UUID
    actor: str
    on_behalf_of: str | None
    correlation_id: UUID
    causation_id: UUID | None

    @property
    def effect(self) -> "Effect":
        return Effect(self.event_id, self.originator_id, self.position, self.topic)


@dataclass(frozen=True, slots=True)
class Effect:
    """An event that another one brought about."""

    event_id: UUID
    record_id: UUID
    position: int
    type: str


class Order(StrEnum):
    """In what order events are told: that of the log, or by one of their times (then by position)."""

    POSITION = "position"
    RECORDED = "recorded"
    OCCURRED = "occurred"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which events; None leaves it open. Periods run from the first moment inside to the first one outside.

    `actor` did it, `on_behalf_of` had it done. `topics`: stored names, such as `lead.won`.
    """

    record_id: UUID | None = None
    subject_id: UUID | None = None
    actor: str | None = None
    on_behalf_of: str | None = None
    topics: Collection[str] | None = None
    recorded_from: datetime | None = None
    recorded_until: datetime | None = None
    occurred_from: datetime | None = None
    occurred_until: datetime | None = None
    position_max: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended. `moment`: that of the order; none in the order of the log."""

    position: int
    moment: datetime | None = None


def place_of(entry: Entry, order: Order) -> Place:
    """The place of the entry in this order."""
    match order:
        case Order.POSITION:
            return Place(entry.position)
        case Order.RECORDED:
            return Place(entry.position, entry.recorded_at)
        case Order.OCCURRED:
            return Place(entry.position, entry.occurred_at)


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """A record that names the subject: which one, of what kind (`customer`, `lead`, ...), since when."""

    id: UUID
    kind: str
    first_position: int


class TimelineIndex(Protocol):
    """Finds events by what is said about them, never by what they say."""

    async def find(
        self, where: EntryFilter, *, order: Order = Order.POSITION, limit: int, after: Place | None = None
    ) -> list[Entry]:
        """In this order, from the first above `after`."""
        ...

    async def effects(self, event_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Effect]]:
        """What these events brought about, each in order; events without effects are left out."""
        ...

    async def entries(self, subject_id: UUID, *, limit: int, after: int = 0) -> list[Entry]:
        """In order of position, from the first above `after`."""
        ...

    async def records(self, subject_id: UUID) -> Sequence[SubjectRecord]:
        """The records that name the subject, in the order in which they first did."""
        ...


VERSION: Final = 1
"""Raised when the rows come to mean something else, or get other columns: then this view is built anew."""


def entry(recorded: Recorded) -> Entry:
    """What the timeline keeps of an event."""
    event, envelope = recorded.event, recorded.envelope
    return Entry(
        recorded.position,
        event.originator_id,
        event.originator_version,
        event.TOPIC,
        event.timestamp,
        envelope.recorded_at,
        _subjects(event),
        envelope.event_id,
        envelope.actor,
        envelope.on_behalf_of,
        envelope.correlation_id,
        envelope.causation_id,
    )


@cache
def kind_of(topic: str) -> str:
    """The kind of record that events of this topic are about."""
    event_class = EVENTS.get(topic)
    return topic.partition(".")[0] if event_class is None else layout(event_class).aggregate


def _subjects(event: Event) -> tuple[UUID, ...]:
    if isinstance(event, ErasureRequested | SubjectErased):
        return (event.erased_subject_id,)
    if isinstance(event, ExportEvent):
        exported = getattr(event, "exported_subject_id", None)
        return () if exported is None else (exported,)
    named = _subject_fields(type(event))
    if len(named) == 1:
        return (getattr(event, named[0]),)
    return tuple(dict.fromkeys((event.record_subject, *(getattr(event, name) for name in named))))


@cache
def _subject_fields(event_class: type[Event]) -> tuple[str, ...]:
    return layout(event_class).subjects
