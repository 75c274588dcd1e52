"""Dead letters: records that a view, or another follower of the log, cannot go on with; and what ends that.

A view that cannot digest an event shows the event's record as it was before, holds its later events back, and
goes on with all others. Once the cause is gone (a new release, the key store back) the record is tried again:
by hand, and whenever a projector starts. What nothing mends can be skipped: that one event, by somebody, for
a reason, and for good.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import structlog
from eventsourcing.persistence import Notification

from infra.undecoded import Decoder, TolerantDecoder

DRAINED_AT_ONCE = 100
"""So many records are tried in one transaction; batches wait meanwhile."""
FIRST = UUID(int=0)
BEGINNING = (FIRST, "")
REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/#:-]{2,99}")
"""A code, such as a change's number: it is kept in clear, so it must not say anything about a person."""

log = structlog.get_logger(__name__)


class NoSuchLetter(LookupError):
    """No record of this id is parked there, at this event."""


class BadReason(ValueError):
    """A reason is a code of 3 to 100 letters, digits and ._/#:- such as a change's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A parked record: the event that could not be digested, what went wrong where, and how many wait."""

    view: str
    record_id: UUID
    version: int
    position: int
    topic: str
    error: str
    place: str
    parked_at: datetime
    held_back: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """An event that a view goes on without: who decided that, when and why."""

    view: str
    record_id: UUID
    version: int
    position: int
    topic: str
    error: str
    place: str
    skipped_at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retried:
    """How many records were tried again, and how many of them wait no more."""

    tried: int
    drained: int


class Letters(Protocol):
    """Keeps what is parked and what was skipped."""

    async def letters(
        self, *, view: str | None, record_id: UUID | None, after: tuple[UUID, str], limit: int
    ) -> list[Letter]:
        """In order of record and view, from the first above `after`."""
        ...

    async def skipped(self, record_id: UUID) -> list[Skip]: ...

    async def counts(self) -> Mapping[str, int]: ...

    async def waiting(self, view: str, record_id: UUID | None, *, after: UUID, limit: int) -> list[UUID]:
        """Records that are parked from the view, in order of id, from the first above `after`."""
        ...

    async def skip(self, view: str, record_id: UUID, version: int, actor: str, reason: str) -> bool:
        """False where the record is not parked there at this version."""
        ...


class RecordReader(Protocol):
    """Reads records' events by their versions."""

    async def between(self, ranges: Sequence[tuple[UUID, int, int]]) -> Sequence[Notification]:
        """The events with versions above the first number up to the second, each record's in order."""
        ...


class ViewStore(Protocol):
    """Shows in a view what was held back of records."""

    @property
    def views(self) -> Sequence[str]: ...

    async def drain(self, view: str, ids: Collection[UUID], reader: RecordReader, mapper: Decoder) -> int:
        """In order; how many of the records wait no more."""
        ...


class Follower(Protocol):
    """Follows the log beside the views, and may stumble, too."""

    @property
    def name(self) -> str: ...

    async def drain(self, ids: Collection[UUID]) -> int:
        """Do what was held back of these records, in order; how many of them wait no more."""
        ...


class DeadLetters:
    """The parked records of the views and of further followers."""

    def __init__(
        self,
        kept: Letters,
        store: ViewStore,
        reader: RecordReader,
        mapper: Decoder,
        followers: Sequence[Follower] = (),
    ) -> None:
        self.kept = kept
        self.store = store
        self.reader = reader
        self.mapper = TolerantDecoder(mapper)
        self.followers = {it.name: it for it in followers}

    async def letters(
        self,
        *,
        view: str | None = None,
        record_id: UUID | None = None,
        after: tuple[UUID, str] = BEGINNING,
        limit: int = 100,
    ) -> list[Letter]:
        """What is parked, in order of record and view, from the first above `after`."""
        return await self.kept.letters(view=view, record_id=record_id, after=after, limit=limit)

    async def skipped(self, record_id: UUID) -> list[Skip]:
        """The events of the record that views go on without."""
        return await self.kept.skipped(record_id)

    async def counts(self) -> Mapping[str, int]:
        """How many records are parked, by view; views without any are left out."""
        return await self.kept.counts()

    async def retry(self, *, view: str | None = None, record_id: UUID | None = None) -> Retried:
        """Try again what is parked: all of it, that of a view, or that of a record."""
        tried = drained = 0
        for name in [*self.store.views, *self.followers] if view is None else [view]:
            after = FIRST
            while ids := await self.kept.waiting(name, record_id, after=after, limit=DRAINED_AT_ONCE):
                tried, after = tried + len(ids), ids[-1]
                drained += await self._drain(name, ids)
                if record_id is not None:
                    break
        return Retried(tried, drained)

    async def retry_views(self) -> Retried:
        """Try again what is parked from views, as a projector does when it starts."""
        results = [await self.retry(view=it) for it in self.store.views]
        return Retried(sum(it.tried for it in results), sum(it.drained for it in results))

    async def skip(self, *, view: str, record_id: UUID, version: int, actor: str, reason: str) -> Retried:
        """Go on without the event of this version, at which the record is parked; what follows it is tried.

        Raises `NoSuchLetter` where it is not parked there, or at another event by now; and `BadReason`.
        """
        if not REASON.fullmatch(reason):
            raise BadReason(BadReason.__doc__)
        if not await self.kept.skip(view, record_id, version, actor, reason):
            raise NoSuchLetter(NoSuchLetter.__doc__)
        log.warning("event_skipped", view=view, record=record_id, event_version=version, actor=actor)
        return await self.retry(view=view, record_id=record_id)

    async def _drain(self, name: str, ids: Collection[UUID]) -> int:
        if (follower := self.followers.get(name)) is not None:
            return await follower.drain(ids)
        if name not in self.store.views:
            return 0
        return await self.store.drain(name, ids, self.reader, self.mapper)
