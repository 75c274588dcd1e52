"""What events are made of: the envelope they come in, personal values and what may stand in their place.

Every class of `events.py` derives from `Event`, is a `@dataclass(frozen=True, kw_only=True, repr=False)`, has
the class variables `TYPE`, `VERSION` and `STREAM`, and as its fields the event's own data. A field's type is
one of `str`, `int`, `bool`, `UUID`, `date`, `datetime`, `Money`, a tuple of these, `dict[str, str]`, or
`Personal` (default None); what may be missing is `| None`. A field that older versions of the event lack has
a default. Codes are `str`: a later release may know more of them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Erased:
    """Stands where a personal value was: the person is erased, or what is of this category of theirs."""

    category: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """Stands where a personal value is that this subscriber does not see.

    It has no grant for the category, the person's data is restricted, or it does not unseal.
    """

    category: str


Personal: TypeAlias = str | Erased | Withheld | None
"""A personal value: the text, or what stands in its place; None where nothing was said."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency (ISO 4217)."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is known of every event, whatever it says."""

    position: int
    """The place in the log: ascending, with holes."""
    id: UUID
    """Tells repeats of one event from two events."""
    type: str
    schema_version: int
    """The version of the event's form."""
    aggregate_id: UUID
    """The record that the event is about."""
    aggregate_version: int
    """1, 2, 3 ... in each record."""
    occurred_at: datetime
    """When it happened, in the business's time."""
    recorded_at: datetime
    actor: str
    """Who did it: a pseudonym (a UUID), or a part of the system, such as `lethe-scheduler`."""
    command_id: str
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: str | None = None
    reason: Personal = field(default=None, repr=False)
    """What the actor said why."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Event:
    """A fact about one record. No event has a field of its own by one of these names."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    STREAM: ClassVar[str]
    """Its topic, without the namespace: all events of a record are in one stream."""

    envelope: Envelope

    def __repr__(self) -> str:
        """Which event it is: what it says may be personal, and a log is no place for that."""
        it = self.envelope
        return f"<{type(self).__name__} {it.position}: {it.aggregate_id} version {it.aggregate_version}>"

    @property
    def position(self) -> int:
        """The place in the log: ascending, with holes."""
        return self.envelope.position

    @property
    def id(self) -> UUID:
        """Tells repeats of one event from two events."""
        return self.envelope.id

    @property
    def aggregate_id(self) -> UUID:
        """The record that the event is about."""
        return self.envelope.aggregate_id

    @property
    def aggregate_version(self) -> int:
        """1, 2, 3 ... in each record."""
        return self.envelope.aggregate_version

    @property
    def occurred_at(self) -> datetime:
        """When it happened, in the business's time."""
        return self.envelope.occurred_at

    @property
    def recorded_at(self) -> datetime:
        """When it was written down."""
        return self.envelope.recorded_at

    @property
    def actor(self) -> str:
        """Who did it: a pseudonym (a UUID), or a part of the system, such as `lethe-scheduler`."""
        return self.envelope.actor

    @property
    def reason(self) -> Personal:
        """What the actor said why."""
        return self.envelope.reason
