"""All views in PostgreSQL together."""

import asyncio
from typing import Final

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.analytics import PostgresAnalytics
from infra.postgres.views.directory import PostgresDirectory
from infra.postgres.views.form import VERSIONS
from infra.postgres.views.pipeline import PostgresPipeline
from infra.postgres.views.privacy import PostgresPrivacyRequests
from infra.postgres.views.query import fetch
from infra.postgres.views.rights import PostgresRights
from infra.postgres.views.subscribers import PostgresSubscribers
from infra.postgres.views.tickets import PostgresTickets
from infra.postgres.views.timeline import PostgresTimelineIndex
from services.ports import BlindIndex

PAUSE_SECONDS_MIN = 0.002
PAUSE_SECONDS_MAX = 0.05

OURS: Final = {"views": list(VERSIONS), "versions": list(VERSIONS.values())}
REACHED: Final = sql.SQL("""
WITH damaged AS (SELECT view FROM views.built WHERE damage IS NOT NULL AND right(view, 5) <> '_next')
SELECT (EXISTS (SELECT FROM timeline.entries WHERE position = %(position)s) AND NOT EXISTS (
    SELECT FROM views.built JOIN unnest(%(views)s::text[], %(versions)s::bigint[]) AS ours (view, version)
    ON ours.view = built.view AND ours.version > built.version
))
OR %(position)s <= (
    SELECT CASE WHEN count(*) + (SELECT count(*) FROM damaged) >= cardinality(%(views)s)
           THEN min(position) ELSE 0 END
    FROM views.tracking WHERE source = 'log' AND view NOT IN (SELECT view FROM damaged)
)
OR EXISTS (
    SELECT FROM log.events AS it WHERE position = %(position)s AND (EXISTS (
        SELECT FROM views.dead_letters AS parked WHERE parked.originator_id = it.originator_id
        AND parked.view = 'timeline' AND parked.version <= it.originator_version
    ) OR EXISTS (
        SELECT FROM views.skipped WHERE skipped.originator_id = it.originator_id
        AND skipped.view = 'timeline' AND skipped.version = it.originator_version
    ))
)
""")


class PostgresViews:
    """Implements `projections.views.Views`."""

    def __init__(self, pool: Pool, blind: BlindIndex) -> None:
        self.pool = pool
        self.directory = PostgresDirectory(pool, blind)
        self.pipeline = PostgresPipeline(pool)
        self.privacy = PostgresPrivacyRequests(pool)
        self.rights = PostgresRights(pool)
        self.subscribers = PostgresSubscribers(pool)
        self.tickets = PostgresTickets(pool)
        self.analytics = PostgresAnalytics(pool)
        self.timeline = PostgresTimelineIndex(pool)

    async def reached(self, position: int) -> bool:
        """Its timeline entry came with the other views' rows, in one transaction, from whichever source.

        Where the log is followed, a position without an event counts as reached once a later one is. A view
        that is damaged is not waited for, nor is an event that is parked or skipped: nobody would see it. One
        that this release has yet to build counts as far as the earlier release has kept it up.
        """
        ((reached,),) = await fetch(self.pool, REACHED, {"position": position, **OURS})
        return bool(reached)

    async def wait_for(self, position: int, timeout: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout
        pause = PAUSE_SECONDS_MIN
        while not await self.reached(position):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, PAUSE_SECONDS_MAX)
        return True
