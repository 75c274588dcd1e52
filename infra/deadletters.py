"""Dead letters: records that a view, or another follower of the log, cannot go on with; and what ends that.

A view that cannot digest an event shows the event's record as it was before, holds its later events back, and
goes on with all others. Once the cause is gone (a new release, the key store back) the record is tried again:
by hand, and whenever a projector starts. What nothing mends can be skipped: that one event, by somebody, for
a reason, and for good.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from psycopg.rows import class_row

from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.letters import skip, waiting
from infra.postgres.views.store import PostgresViewStore, RecordReader
from infra.undecoded import Decoder, TolerantDecoder

DRAINED_AT_ONCE = 100
"""So many records are tried in one transaction; batches wait meanwhile."""
FIRST = UUID(int=0)
REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/#:-]{2,99}")
"""A code, such as a change's number: it is kept in clear, so it must not say anything about a person."""

Drain = Callable[[Collection[UUID]], Awaitable[int]]
"""Tries records again; how many of them wait no more."""

LETTERS = """
SELECT view, originator_id AS record_id, version, position, topic, error, place, parked_at,
       (SELECT count(*) FROM log.events AS it
        WHERE it.originator_id = parked.originator_id AND it.originator_version > parked.version) AS held_back
FROM views.dead_letters AS parked
WHERE right(view, 5) <> '_next' AND (%(view)s::text IS NULL OR view = %(view)s)
  AND (%(record)s::uuid IS NULL OR originator_id = %(record)s)
  AND (view, originator_id) > (%(after_view)s, %(after)s::uuid)
ORDER BY view, originator_id LIMIT %(limit)s
"""
SKIPPED = """
SELECT view, originator_id AS record_id, version, position, topic, error, place, skipped_at, actor, reason
FROM views.skipped WHERE originator_id = %(record)s ORDER BY view, version
"""
COUNTS = """
SELECT view, count(*) FROM views.dead_letters WHERE right(view, 5) <> '_next' GROUP BY view ORDER BY view
"""


class NoSuchLetter(Exception):
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
        pool: Pool,
        store: PostgresViewStore,
        reader: RecordReader,
        mapper: Decoder,
        followers: Sequence[Follower] = (),
    ) -> None:
        self.pool = pool
        self.store = store
        self.reader = reader
        self.mapper = TolerantDecoder(mapper)
        self.followers = {it.name: it for it in followers}

    async def letters(
        self,
        *,
        view: str | None = None,
        record_id: UUID | None = None,
        after: tuple[str, UUID] = ("", FIRST),
        limit: int = 100,
    ) -> list[Letter]:
        """What is parked, in order of view and record, from the first above `after`."""
        asked = {"view": view, "record": record_id, "after_view": after[0], "after": after[1], "limit": limit}
        return await self._ask(Letter, LETTERS, asked)

    async def skipped(self, record_id: UUID) -> list[Skip]:
        """The events of the record that views go on without."""
        return await self._ask(Skip, SKIPPED, {"record": record_id})

    async def counts(self) -> Mapping[str, int]:
        """How many records are parked, by view; views without any are left out."""
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return dict(await (await connection.execute(COUNTS.encode())).fetchall())

    async def retry(self, *, view: str | None = None, record_id: UUID | None = None) -> Retried:
        """Try again what is parked: all of it, that of a view, or that of a record."""
        tried = drained = 0
        for name in [*self.store.views, *self.followers] if view is None else [view]:
            after = FIRST
            while ids := await self._waiting(name, after, record_id):
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
        with unavailable_on_outage():
            async with self.pool.connection() as connection, connection.transaction():
                if not await skip(connection, view, record_id, version, actor, reason):
                    raise NoSuchLetter(NoSuchLetter.__doc__)
        return await self.retry(view=view, record_id=record_id)

    async def _waiting(self, name: str, after: UUID, record_id: UUID | None) -> list[UUID]:
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return await waiting(connection, name, record_id, after=after, limit=DRAINED_AT_ONCE)

    async def _drain(self, name: str, ids: Collection[UUID]) -> int:
        if (follower := self.followers.get(name)) is not None:
            return await follower.drain(ids)
        if name not in self.store.views:
            return 0
        return await self.store.drain(name, ids, self.reader, self.mapper)

    async def _ask(self, kind: type[Any], query: str, values: Mapping[str, Any]) -> list[Any]:
        with unavailable_on_outage():
            async with (
                self.pool.connection() as connection,
                connection.cursor(row_factory=class_row(kind)) as cursor,
            ):
                await cursor.execute(query.encode(), values)
                return await cursor.fetchall()
