"""What the use cases need from the outside, and the records that pass between them and it."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.persistence import Notification
from msgspec import Struct

from domain.model import Aggregate, Category, DomainError, Erased, Event, Sealed


class Ground(StrEnum):
    """Why restricted data may be processed all the same: GDPR, article 18(2)."""

    CONSENT = "consent"
    LEGAL_CLAIMS = "legal_claims"
    RIGHTS_OF_OTHERS = "rights_of_others"
    PUBLIC_INTEREST = "public_interest"
    SUBJECT_RIGHTS = "subject_rights"
    """The subject's own rights are carried out: answering, rectifying, erasing."""


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What the edge knows of one command.

    `command_id` is its idempotency key; `request_digest` a short keyed digest of the whole request, so
    that a key used for two different requests is found out. `occurred_at` is the business's time,
    `actor` the pseudonym of the member or service account that commands, `on_behalf_of` that of whom they
    command for. `purpose` is the code of the processing activity it serves; `ground` why the data of a
    subject whose processing is restricted may be processed all the same (GDPR, article 18(2)).
    """

    command_id: UUID
    request_digest: bytes
    actor: str
    occurred_at: datetime
    correlation_id: UUID
    causation_id: UUID | None = None
    reason: str | None = None
    traceparent: str | None = None
    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: Ground | None = None


class Envelope(Struct, frozen=True, gc=False):
    """What is stored about an event beside its own fields. `reason` is clear only while it is written."""

    event_id: UUID
    recorded_at: datetime
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    reason: str | Sealed | Erased | None = None
    traceparent: str | None = None
    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: Ground | None = None


ENVELOPE_MAY_LACK = ("causation_id", "traceparent", "on_behalf_of", "purpose", "ground")
"""What the stored envelope leaves out where there is nothing to say, in the order of writing."""


class Recorded(Struct, frozen=True, gc=False):
    """An event as the log has it. `position` orders all events; 0 while it is not yet stored."""

    event: Event
    envelope: Envelope
    position: int = 0

    @property
    def originator_id(self) -> UUID:
        return self.event.originator_id

    @property
    def originator_version(self) -> int:
        return self.event.originator_version


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a command: the record, its version, and the log position of its last event.

    A command that found everything already so answers with the version and position it found.
    `repeated` says that the command had been applied before.
    """

    id: UUID
    subject_id: UUID
    version: int
    position: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one command writes: stored together or not at all.

    `version` and `position` are those of the record before it, for a command without events.
    """

    context: CommandContext
    id: UUID
    subject_id: UUID
    events: tuple[Event, ...]
    version: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """One aggregate's events in order, personal fields sealed; of the last its position and stored form.

    With a `snapshot` these are the last event that it knows, and those after it.
    """

    events: Sequence[Event]
    position: int
    last: bytes = b""
    snapshot: Aggregate | None = None


class Refused(DomainError):
    """The command cannot be carried out as things stand."""


class RecordNotFound(Refused):
    """There is no such record."""


class VersionConflict(Refused):
    """Another command changed the record at the same time."""


class StaleVersion(Refused):
    """The record is not at the version the command expects."""


class SubjectIsErased(Refused):
    """The data subject is erased: nothing about them is written or shown any more."""


class SubjectIsHeld(Refused):
    """A legal hold names the data subject: nothing of theirs is destroyed until it is lifted."""


class ProcessingRestricted(Refused):
    """The processing of the person's data is restricted: nothing is added to it without a ground."""


class CommandReused(Refused):
    """The idempotency key was used for a different request before."""


class Unavailable(Exception):
    """The log cannot be reached just now; nothing is known to be lost. Try again later."""


class KeyLost(Exception):
    """A box names a key that the key store does not have: a fault, never an erasure."""


class Tampered(Exception):
    """A box does not open in its place: it, or what it is bound to, was changed."""


class EventStore(Protocol):
    """The event log, as the use cases see it."""

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        """The aggregate's events above this version, none unsealed.

        An empty history, at position 0, where there are none.
        """
        ...

    async def append(self, commit: Commit) -> Outcome:
        """Store the commit durably and answer; or answer as before, where its command id is known.

        Raises `VersionConflict`, `SubjectIsErased`, `CommandReused` or `Unavailable`; then nothing is stored
        (after `Unavailable` the same command id tells whether it was).
        """
        ...

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome | Refused | Unavailable]:
        """What `append` answers or raises for each, in their order: each is stored or fails by itself.

        Raises `Unavailable` only where none of them was looked at; and a fault, once the others are stored.
        """
        ...

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        """The first answer to this command id, if there was one. Raises `CommandReused`."""
        ...


class AggregateSnapshots(Protocol):
    """Long records as they stood, so that whoever decides on them need not read them from the beginning.

    Derived from the log: lost at will, and never trusted against it. They hold nothing personal.
    """

    async def load(self, originator_id: UUID) -> History:
        """As `EventStore.load`; from the snapshot on, where there is one that agrees with the log."""
        ...

    def keep(self, aggregate: Aggregate, last: bytes) -> None:
        """Keep the aggregate as it is now, some time; `last` is how its last event is stored. Never fails."""
        ...


class Clock(Protocol):
    """The system's clock, read at the edge only."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Shredded:
    """What an erasure destroyed: fingerprints of the keys, by category."""

    subject_id: UUID
    fingerprints: Mapping[Category, str]


class KeyState(StrEnum):
    """The four answers about a key, never confused."""

    ACTIVE = "active"
    ERASED = "erased"
    LOST = "lost"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Standing:
    """What has to be heeded before a subject's data is read, processed or destroyed."""

    erased: bool = False
    erased_categories: frozenset[Category] = frozenset()
    """Erased in part: the other categories are still read and written."""
    restricted: bool = False
    """Processing needs a `Ground` (GDPR, article 18)."""
    held: bool = False
    """A legal hold stands against erasing it."""

    def has_lost(self, categories: Set[Category]) -> bool:
        """Whether these are erased already; where none is named, everything."""
        return self.erased or (bool(categories) and categories <= self.erased_categories)


NOTHING_STANDS = Standing()

KeyName = tuple[UUID, Category]
"""A data key's name: whose, and for which category."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """An unwrapped 256-bit key and the fingerprint that commits to it. In memory only, 60 s at most.

    `restricted` says that processing the subject's data needs a `Ground`; only `KeyRing.provide` tells.
    """

    fingerprint: str
    secret: bytes = field(repr=False)
    restricted: bool = False


class KeyRing(Protocol):
    """Keeps the data keys, wrapped under a key-encryption key that lives elsewhere."""

    async def provide(self, names: Collection[KeyName], *, within: Any) -> Mapping[KeyName, DataKey | Erased]:
        """Keys to seal with, minted where missing, inside the caller's transaction `within`.

        The subjects stay locked against erasure and restriction until that transaction ends, so that no box
        is stored under a key once its fence is up, nor of a restricted subject unawares.
        """
        ...

    async def fetch(self, names: Collection[KeyName]) -> Mapping[KeyName, DataKey | Erased | None]:
        """Keys to open with; None where there never was one. May answer from memory, 60 s at most."""
        ...

    async def open(
        self, names: Collection[KeyName], people: Collection[UUID]
    ) -> tuple[Mapping[KeyName, DataKey | Erased | None], Mapping[UUID, Standing]]:
        """What `fetch` says of the names, and `standings` of the people, in one question."""
        ...

    async def states(self, subject_id: UUID) -> Mapping[Category, KeyState]:
        """What the ring says of each of the subject's keys."""
        ...

    async def erased(self, subject_ids: Collection[UUID]) -> Set[UUID]:
        """Those of the subjects that are erased, wholly. Never from memory."""
        ...

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        """What has to be heeded about the subjects; absent where `NOTHING_STANDS`. Never from memory."""
        ...


class Unsealer(Protocol):
    """Opens boxes for readers."""

    async def open(self, values: Sequence[Sealed]) -> Mapping[Sealed, str | Erased]:
        """The clear value, or `Erased`, of each handle.

        Raises `KeyLost` or `Tampered`: neither is ever answered as `Erased`.
        """
        ...

    async def open_heeding(
        self, values: Sequence[Sealed], people: Collection[UUID]
    ) -> tuple[Mapping[Sealed, str | Erased], Mapping[UUID, Standing]]:
        """The same, and what has to be heeded about the people before anything is shown of them."""
        ...


class BlindIndex(Protocol):
    """A keyed digest (HMAC-SHA-256), to find a value again without keeping it."""

    def digest(self, purpose: str, value: str) -> bytes:
        """32 bytes; the same for the same purpose and value, of no use without the key."""
        ...


class LogReader(Protocol):
    """Reads the log in order of position, and never passes over an event."""

    async def read(self, after: int, limit: int) -> Sequence[Notification]:
        """Up to `limit` events with positions above `after`, all of them below the fence."""
        ...

    async def wait(self, after: int, timeout: float) -> bool:
        """Wait (seconds) until there may be an event above `after`. False when the time is up."""
        ...

    async def horizon(self) -> int:
        """The highest position below the fence: everything up to here is final."""
        ...

    async def end(self) -> int:
        """The position of the last event up to the horizon; 0 where there is none.

        What follows the log comes that far: positions above it were drawn in vain.
        """
        ...


class EventSource(Protocol):
    """Where projections get their events: the log itself, or a Kafka consumer group."""

    async def next(self, *, limit: int, timeout: float) -> Sequence[Recorded]:
        """Up to `limit` further events, personal fields sealed; none when `timeout` seconds are up.

        Each aggregate's events come in order. An event may come again.
        """
        ...

    async def done(self) -> None:
        """Everything handed out so far is projected and durable."""
        ...


class KeyShredder(Protocol):
    """Destroys the keys of a subject, for good. Every step may be repeated."""

    async def shred(self, subject_id: UUID, categories: Set[Category] = frozenset()) -> Shredded:
        """Raise the fence (no key is minted after it) and destroy the keys, in one transaction.

        Of these categories only, or of the whole subject where none is named. Raises `SubjectIsHeld` while a
        hold names the subject, unless all of it is erased already.
        """
        ...


class SubjectMarks(Protocol):
    """Marks that stand beside the keys, so that whoever seals or destroys heeds them. May be repeated."""

    async def restrict(self, subject_id: UUID, restricted: bool, *, position: int) -> None:
        """Restrict the subject's processing or lift that, as the log says at `position`; older is ignored."""
        ...

    async def hold(self, hold_id: UUID, subject_id: UUID) -> bool:
        """Refuse erasures of the subject while this hold stands. False: they are wholly erased already."""
        ...

    async def release(self, hold_id: UUID, subject_id: UUID) -> None:
        """This hold stands against the subject's erasure no more; others may."""
        ...


class IndexPurger(Protocol):
    """Removes a subject from every index that finds people."""

    async def purge(self, subject_id: UUID) -> None:
        """Delete the subject's blind index rows. May be repeated."""
        ...
