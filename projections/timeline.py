"""The timeline: which events name which data subject, so that all that is held about a person is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol
from uuid import UUID

from domain.catalogue import EVENTS, layout
from domain.erasure.events import ErasureRequested, SubjectErased
from domain.model import Event
from projections.model import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event, and whom it is about. Its content stays in the log."""

    position: int
    originator_id: UUID
    version: int
    topic: str
    occurred_at: datetime
    recorded_at: datetime
    subjects: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """A record that names the subject: which one, of what kind (`customer`, `lead`, ...), since when."""

    id: UUID
    kind: str
    first_position: int


class TimelineIndex(Protocol):
    """Finds the events that name a subject."""

    async def entries(self, subject_id: UUID, *, limit: int, after: int = 0) -> list[Entry]:
        """In order of position, from the first above `after`."""
        ...

    async def records(self, subject_id: UUID) -> Sequence[SubjectRecord]:
        """The records that name the subject, in the order in which they first did."""
        ...


def entry(recorded: Recorded) -> Entry:
    """What the timeline keeps of an event."""
    event = recorded.event
    return Entry(
        position=recorded.position,
        originator_id=event.originator_id,
        version=event.originator_version,
        topic=event.TOPIC,
        occurred_at=event.timestamp,
        recorded_at=recorded.envelope.recorded_at,
        subjects=_subjects(event),
    )


@cache
def kind_of(topic: str) -> str:
    """The kind of record that events of this topic are about."""
    event_class = EVENTS.get(topic)
    return topic.partition(".")[0] if event_class is None else layout(event_class).aggregate


def _subjects(event: Event) -> tuple[UUID, ...]:
    if isinstance(event, ErasureRequested | SubjectErased):
        return (event.erased_subject_id,)
    named = _subject_fields(type(event))
    if len(named) == 1:
        return (getattr(event, named[0]),)
    return tuple(dict.fromkeys((event.record_subject, *(getattr(event, name) for name in named))))


@cache
def _subject_fields(event_class: type[Event]) -> tuple[str, ...]:
    return layout(event_class).subjects
