"""What every projection is made of: rows, what is recorded, and how a row moves on by one event.

A projection is a pure function `project(rows, recorded)`: it reads and changes rows in memory, and nothing
else. So the same function builds the live view, rebuilds it, and folds one record as of any time. Personal
fields hold the handles of the log (`Sealed`), for a reader to unseal.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar
from uuid import UUID

from domain.model import Erased, Event, Sealed

Personal: TypeAlias = str | Sealed | Erased | None
"""A personal value: a handle as it is stored; clear, or `Erased`, once a reader has unsealed it."""


class Envelope(Protocol):
    """What projections read of what is stored beside an event."""

    @property
    def event_id(self) -> UUID: ...

    @property
    def recorded_at(self) -> datetime: ...

    @property
    def actor(self) -> str: ...

    @property
    def on_behalf_of(self) -> str | None: ...

    @property
    def correlation_id(self) -> UUID: ...

    @property
    def causation_id(self) -> UUID | None: ...


class Recorded(Protocol):
    """An event as the log has it, with its position in the order of all events."""

    @property
    def event(self) -> Event: ...

    @property
    def envelope(self) -> Envelope: ...

    @property
    def position(self) -> int: ...


@dataclass(slots=True, kw_only=True)
class Row:
    """One record in one view. `version` and `position` are those of the last event it shows."""

    id: UUID
    subject_id: UUID
    version: int
    position: int


R = TypeVar("R", bound=Row)

Head: TypeAlias = bytes
"""Which record, and how far: its id, its version, and that of the member whom it mentions, if it does."""
_HEAD = Struct(">16sqq")
_NONE = b"\xff" * 8


def head_of(id: UUID, version: int, member_version: int | None = None) -> Head:
    """As `uuid_send` and `int8send` of PostgreSQL write it; -1 where there is no such member."""
    return _HEAD.pack(id.bytes, version, -1 if member_version is None else member_version)


def member_head(head: Head, member_id: UUID) -> Head:
    """The head of the member whom the record of this head mentions."""
    return member_id.bytes + head[24:] + _NONE


def id_of(head: Head) -> UUID:
    """Which record's it is."""
    return UUID(bytes=head[:16])


class Heads(NamedTuple):
    """Heads in order, and the `mark` of the key ring at that moment: while it is the same, what was found of
    anybody's standing still holds. None: not known, so that has to be asked."""

    mark: int | None
    heads: Sequence[Head]


class Headed(NamedTuple, Generic[R]):
    """A row as it is at its head, and the mark as `Heads` has it."""

    mark: int | None
    head: Head
    row: R


Rows: TypeAlias = MutableMapping[UUID, R]
Project: TypeAlias = Callable[[Rows[R], Recorded], None]


def advance(rows: Mapping[UUID, R], recorded: Recorded) -> R | None:
    """The record's row, moved on to this event's version; None if the row shows the event already.

    None, too, where there is no row: the record began with an event that this program does not know.
    """
    row = rows.get(recorded.event.originator_id)
    if row is None or row.version >= recorded.event.originator_version:
        return None
    row.version = recorded.event.originator_version
    row.position = recorded.position
    return row


def fold(
    project: Project[R],
    record_id: UUID,
    history: Iterable[Recorded],
    *,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> R | None:
    """One record's row from its events: what was true `as_of` then, as far as was `known_at` that moment.

    None where there was nothing yet.
    """
    rows: dict[UUID, R] = {}
    for recorded in history:
        if as_of is not None and recorded.event.timestamp > as_of:
            continue
        if known_at is not None and recorded.envelope.recorded_at > known_at:
            continue
        project(rows, recorded)
    return rows.get(record_id)
