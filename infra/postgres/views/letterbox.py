"""Dead letters, as they are listed and skipped."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from infra.deadletters import Letter, Skip
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.letters import skip, waiting

LETTERS = """
SELECT view, originator_id AS record_id, version, position, topic, error, place, parked_at,
       (SELECT count(*) FROM log.events AS it
        WHERE it.originator_id = parked.originator_id AND it.originator_version > parked.version) AS held_back
FROM views.dead_letters AS parked
WHERE right(view, 5) <> '_next' AND (%(view)s::text IS NULL OR view = %(view)s)
  AND (%(record)s::uuid IS NULL OR originator_id = %(record)s)
  AND (originator_id, view) > (%(after)s::uuid, %(after_view)s)
ORDER BY originator_id, view LIMIT %(limit)s
"""
SKIPPED = """
SELECT view, originator_id AS record_id, version, position, topic, error, place, skipped_at, actor, reason
FROM views.skipped WHERE originator_id = %(record)s ORDER BY view, version
"""
COUNTS = """
SELECT view, count(*) FROM views.dead_letters WHERE right(view, 5) <> '_next' GROUP BY view ORDER BY view
"""


class PostgresLetters:
    """Implements `infra.deadletters.Letters`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def letters(
        self, *, view: str | None, record_id: UUID | None, after: tuple[UUID, str], limit: int
    ) -> list[Letter]:
        asked = {"view": view, "record": record_id, "after": after[0], "after_view": after[1], "limit": limit}
        return await self._ask(Letter, LETTERS, asked)

    async def skipped(self, record_id: UUID) -> list[Skip]:
        return await self._ask(Skip, SKIPPED, {"record": record_id})

    async def counts(self) -> Mapping[str, int]:
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return dict(await (await connection.execute(COUNTS.encode())).fetchall())

    async def waiting(self, view: str, record_id: UUID | None, *, after: UUID, limit: int) -> list[UUID]:
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return await waiting(connection, view, record_id, after=after, limit=limit)

    async def skip(self, view: str, record_id: UUID, version: int, actor: str, reason: str) -> bool:
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return await skip(connection, view, record_id, version, actor, reason)

    async def _ask(self, kind: type[Any], query: str, values: Mapping[str, Any]) -> list[Any]:
        with unavailable_on_outage():
            async with (
                self.pool.connection() as connection,
                connection.cursor(row_factory=class_row(kind)) as cursor,
            ):
                await cursor.execute(query.encode(), values)
                return await cursor.fetchall()
