"""The timeline: which events name which data subject, so that all that is held about a person is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


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
