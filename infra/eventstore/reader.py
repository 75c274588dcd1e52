"""Reads the log in order of position, and never passes over an event that a slower transaction still writes.

Positions are drawn before their transactions commit, so a higher one may be visible before a lower one. The
allocation fence: read H, the last position drawn; then take a transaction id F. Every writer that drew a
position up to H had its own id before that (see `log.events.xid`). Once all transactions up to F have ended,
every position up to H is committed or dead, and may be read.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Notification
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.outage import unavailable_on_outage
from infra.waiting import set_within

Pool = AsyncConnectionPool[AsyncConnection[Any]]

POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.1
FENCED_POLL_SECONDS_MAX = 0.02
PAUSE_GROWTH = 1.5
HORIZON_SECONDS_MAX = 1.0

COLUMNS = "originator_id, originator_version, topic, state, position"
DRAWN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM log.positions"
LAST = "SELECT coalesce(max(position), 0) FROM log.events"
END = f"{LAST} WHERE position <= %s"
ALLOCATION = "SELECT highest, fence::text FROM log.allocation()"
PASSED = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::xid8"
PAGE = f"SELECT {COLUMNS} FROM log.events WHERE position > %s AND position <= %s ORDER BY position LIMIT %s"  # noqa: S608
ANY = "SELECT EXISTS (SELECT FROM log.events WHERE position > %s AND position <= %s)"
OF_ORIGINATOR = f"SELECT {COLUMNS} FROM log.events WHERE originator_id = %s ORDER BY originator_version"  # noqa: S608
AT_POSITIONS = f"SELECT {COLUMNS} FROM log.events WHERE position = ANY(%s) ORDER BY position"  # noqa: S608

BETWEEN = """
SELECT originator_id, originator_version, topic, state, position
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS wanted (id, low, high)
JOIN log.events ON originator_id = id AND originator_version > low AND originator_version <= high
ORDER BY originator_id, originator_version
"""
AT_VERSIONS = f"""
SELECT {COLUMNS} FROM log.events WHERE originator_id = %s AND originator_version = ANY(%s::bigint[])
ORDER BY originator_version
"""  # noqa: S608
OF_TOPICS = f"""
SELECT {COLUMNS} FROM log.events WHERE topic = ANY(%s) AND position > %s AND position <= %s
ORDER BY position LIMIT %s
"""  # noqa: S608
MILESTONES = """
SELECT originator_id, max(originator_version), min(topic), max(position)
FROM (
    SELECT originator_id, originator_version, topic, position FROM log.events
    WHERE originator_version %% 256 = 0 AND position > %s AND position <= %s ORDER BY position LIMIT %s
) AS it GROUP BY originator_id ORDER BY max(position)
"""


class FencedReader:
    """Implements `services.ports.LogReader`. Safe to share between tasks of one event loop.

    While nothing is written it asks for the sequence's value only, ten times a second, and spends no
    transaction id. Raises `Unavailable` while the database is away.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._horizon = 0
        self._fence: tuple[int, str, float] | None = None
        """The fence being waited for: its H, its F, and since when (monotonic seconds)."""
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._waited_seconds = 0.0

    @property
    def fence_wait_seconds(self) -> float:
        """How long the present fence has been waited for; else how long the last one was."""
        return self._waited_seconds if self._fence is None else time.monotonic() - self._fence[2]

    def wake(self) -> None:
        """Something was stored by this process: look now. To be called in the reader's event loop."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def read(self, after: int, limit: int) -> Sequence[Notification]:
        """See the port. Does not wait: events above a fence that still stands come later."""
        if after >= self._horizon:
            await self._advance()
        if after >= self._horizon:
            return []
        return await self._notifications(PAGE, after, self._horizon, limit)

    async def wait(self, after: int, timeout: float) -> bool:
        until = time.monotonic() + timeout
        pause = POLL_SECONDS_MIN
        looked_at = after
        while True:
            woken = self._woken
            if (horizon := await self._advance()) > looked_at:
                if await self._value(ANY, after, horizon):
                    return True
                looked_at = horizon  # positions up to here were drawn in vain
            remaining = until - time.monotonic()
            if remaining <= 0:
                return False
            await set_within(woken, min(pause, remaining))
            longest = POLL_SECONDS_MAX if self._fence is None else FENCED_POLL_SECONDS_MAX
            pause = min(pause * PAUSE_GROWTH, longest)

    async def horizon(self) -> int:
        """See the port. Waits up to a second for transactions that run, to be as high as may be."""
        until = time.monotonic() + HORIZON_SECONDS_MAX
        drawn = await self._value(DRAWN)
        while await self._advance() < drawn and time.monotonic() < until:  # noqa: ASYNC110 - nobody sends word
            await asyncio.sleep(POLL_SECONDS_MIN)
        return self._horizon

    async def end(self) -> int:
        """See the port."""
        return int(await self._value(END, await self.horizon()))

    async def last(self) -> int:
        """The highest position of a stored event; 0 where there is none. Lower ones may be on their way."""
        return int(await self._value(LAST))

    async def events_of(self, originator_id: UUID) -> Sequence[Notification]:
        """All events of one aggregate, in order."""
        return await self._notifications(OF_ORIGINATOR, originator_id)

    async def between(self, ranges: Sequence[tuple[UUID, int, int]]) -> Sequence[Notification]:
        """The events of records, each with its versions above the first number up to the second, in order."""
        if not ranges:
            return []
        ids, lows, highs = zip(*ranges, strict=True)
        return await self._notifications(BETWEEN, list(ids), list(lows), list(highs))

    async def at_versions(self, record_id: UUID, versions: Sequence[int]) -> Sequence[Notification]:
        """The record's events of these versions, in order."""
        return await self._notifications(AT_VERSIONS, record_id, list(versions))

    async def of_topics(
        self, topics: Sequence[str], after: int, until: int, limit: int
    ) -> Sequence[Notification]:
        """The events of these topics in these positions, in order; `until` lies below the fence."""
        return await self._notifications(OF_TOPICS, list(topics), after, until, limit)

    async def milestones(self, after: int, until: int, limit: int) -> Sequence[tuple[UUID, int, str, int]]:
        """The records with an event at every 256th version in these positions: which, the last such version,
        a topic of theirs, and its position."""
        return await self._rows(MILESTONES, after, until, limit)

    async def at_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions, in order; those that there are."""
        return await self._notifications(AT_POSITIONS, list(positions))

    async def _advance(self) -> int:
        """Raise the horizon if the fence has been passed; a new fence where positions were drawn since."""
        async with self._turn:
            if self._fence is None and await self._value(DRAWN) > self._horizon:
                highest, fence = await self._row(ALLOCATION)
                self._fence = (highest, fence, time.monotonic())
            if self._fence is not None:
                highest, fence, since = self._fence
                if await self._value(PASSED, fence):
                    self._horizon, self._fence = highest, None
                    self._waited_seconds = time.monotonic() - since
            return self._horizon

    async def _notifications(self, query: str, *values: Any) -> list[Notification]:
        return [Notification(*row) for row in await self._rows(query, *values)]

    async def _value(self, query: str, *values: Any) -> Any:
        return (await self._row(query, *values))[0]

    async def _row(self, query: str, *values: Any) -> tuple[Any, ...]:
        [row] = await self._rows(query, *values)
        return row

    async def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(query.encode(), values)
                return await cursor.fetchall()
