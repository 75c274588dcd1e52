"""Watches the access log for what is unusual, by what each actor did by hour and by day before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from infra.accesslog import ID_BYTES, Access, AccessStore, accesses_of
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.scheduling import Job
from infra.unusual import PAST, Activity, Measure, Unusual, judge_day, judge_hour

EVERY: Final = timedelta(minutes=5)
PRUNE_EVERY: Final = timedelta(days=1)
BATCHES_AT_ONCE: Final = 50
HOUR, DAY = "hour", "day"

FIRST: LiteralString = "SELECT coalesce(min(number), 1) - 1 FROM access.batches WHERE first_at >= %s"
BATCHES: LiteralString = """
SELECT number, body FROM access.batches
WHERE number > %s AND last_at >= %s AND body IS NOT NULL ORDER BY number LIMIT %s
"""
KEEP: LiteralString = """
INSERT INTO access.activity AS kept (actor_id, period, since, pages, subjects) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (actor_id, period, since) DO UPDATE
SET pages = greatest(kept.pages, excluded.pages), subjects = greatest(kept.subjects, excluded.subjects)
"""
PAST_OF: LiteralString = """
SELECT actor_id, period, since, pages, subjects FROM access.activity
WHERE actor_id = ANY (%s) AND since >= %s
"""
FLAG: LiteralString = """
INSERT INTO access.unusual AS known (actor_id, measure, since, measured, usual, most, found_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (actor_id, measure, since) DO UPDATE SET measured = excluded.measured
WHERE known.measured < excluded.measured RETURNING xmax = 0
"""
FOUND: LiteralString = """
SELECT number, found_at, actor_id, measure, since, measured, usual, most FROM access.unusual
WHERE number < %s ORDER BY number DESC LIMIT %s
"""
LATELY: LiteralString = """
SELECT measure, count(*) FROM access.unusual WHERE found_at > %s GROUP BY measure
"""

log = structlog.get_logger(__name__)
Key = tuple[UUID, str, datetime]


@dataclass(slots=True)
class _Sum:
    pages: int = 0
    unnamed: int = 0
    """How many records of exports that name nobody."""
    subjects: set[bytes] = field(default_factory=set)

    def add(self, access: Access) -> None:
        self.pages += 1
        self.unnamed += access.count if access.everyone else 0
        ids = access.subjects
        self.subjects.update(ids[it : it + ID_BYTES] for it in range(0, len(ids), ID_BYTES))

    @property
    def subject_count(self) -> int:
        return len(self.subjects) + self.unnamed


@dataclass(frozen=True, slots=True)
class Finding:
    """Something unusual, its number in order of finding, and when it was found."""

    number: int
    found_at: datetime
    unusual: Unusual


class AccessWatch:
    """Takes in what is stored, a look at a time. Yesterday and today are held in memory.

    Begun anew it takes both in again, and comes to the same sums: one watch at a time, by the scheduler.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._after = 0
        self._sums: dict[Key, _Sum] = {}

    async def look(self, now: datetime) -> str:
        """Sum up what came since the last look, and flag what is unusual."""
        since = _start(DAY, now) - timedelta(days=1)
        self._sums = {key: it for key, it in self._sums.items() if key[2] >= since}
        touched: set[Key] = set()
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                if not self._after:
                    [(self._after,)] = await _rows(connection, FIRST, since - timedelta(hours=1))
                while batches := await _rows(connection, BATCHES, self._after, since, BATCHES_AT_ONCE):
                    for number, body in batches:
                        touched |= self._take_in(accesses_of(body), since)
                        self._after = number
                found = await self._judge(connection, sorted(touched), now)
        return f"{len(touched)} hours and days of actors looked at, {found} unusual"

    def _take_in(self, accesses: Sequence[Access], since: datetime) -> set[Key]:
        touched: set[Key] = set()
        for access in accesses:
            if access.at < since:
                continue
            for period in (HOUR, DAY):
                key = access.actor, period, _start(period, access.at)
                self._sums.setdefault(key, _Sum()).add(access)
                touched.add(key)
        return touched

    async def _judge(self, connection: AsyncConnection[Any], touched: Sequence[Key], now: datetime) -> int:
        if not touched:
            return 0
        async with connection.cursor() as cursor:
            sums = [(*key, self._sums[key].pages, self._sums[key].subject_count) for key in touched]
            await cursor.executemany(KEEP, sums)
        actors = list({actor_id for actor_id, _, _ in touched})
        past: dict[tuple[UUID, str], list[Activity]] = {}
        for actor_id, period, *facts in await _rows(
            connection, PAST_OF, actors, now - PAST - timedelta(days=2)
        ):
            past.setdefault((actor_id, period), []).append(Activity(*facts))
        found = 0
        for key in touched:
            for unusual in self._unusual(key, past.get(key[:2], [])):
                found += await _flag(connection, unusual, now)
        return found

    def _unusual(self, key: Key, past: Sequence[Activity]) -> list[Unusual]:
        actor_id, period, since = key
        now = Activity(since, self._sums[key].pages, self._sums[key].subject_count)
        return judge_hour(actor_id, now, past) if period == HOUR else judge_day(actor_id, now, past)

    async def found(self, *, limit: int, before: int | None = None) -> list[Finding]:
        """What was found unusual, the newest first, from the one before the number `before`."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                rows = await _rows(connection, FOUND, before or 2**63 - 1, limit)
        return [
            Finding(number, found_at, Unusual(actor_id, Measure(measure), *facts))
            for number, found_at, actor_id, measure, *facts in rows
        ]

    async def lately(self, now: datetime) -> Mapping[Measure, int]:
        """How many findings there were in the last 24 hours."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                counts = dict(await _rows(connection, LATELY, now - timedelta(days=1)))
        return {it: counts.get(it.value, 0) for it in Measure}

    async def prune(self, now: datetime) -> None:
        """Forget the sums that nothing is judged by any more."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute("DELETE FROM access.activity WHERE since < %s", (now - 2 * PAST,))


def watching(watch: AccessWatch) -> Job:
    """The job that looks for unusual access."""
    return Job(EVERY, watch.look)


def pruning(store: AccessStore, watch: AccessWatch, days: int) -> Job:
    """The job that forgets what the access log need not keep any more, all but the hashes."""

    async def prune(now: datetime) -> str:
        await watch.prune(now)
        return f"{await store.prune(now - timedelta(days=days))} batches of accesses pruned"

    return Job(PRUNE_EVERY, prune)


async def _flag(connection: AsyncConnection[Any], unusual: Unusual, now: datetime) -> int:
    rows = await _rows(
        connection, FLAG, unusual.actor_id, unusual.measure.value, unusual.since, unusual.measured,
        unusual.usual, unusual.limit, now,
    )  # fmt: skip
    if not any(new for (new,) in rows):
        return 0
    log.warning(
        "unusual_access",
        actor=unusual.actor_id,
        kind=unusual.measure.value,
        since=unusual.since,
        measured=unusual.measured,
        usual=unusual.usual,
    )
    return 1


def _start(period: str, at: datetime) -> datetime:
    hour = at.replace(minute=0, second=0, microsecond=0)
    return hour if period == HOUR else hour.replace(hour=0)


async def _rows(connection: AsyncConnection[Any], query: LiteralString, *values: Any) -> list[Any]:
    return await (await connection.execute(query, values, binary=True)).fetchall()
