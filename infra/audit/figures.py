"""How the trees are doing, in figures: for `lethe status`, for Prometheus, and for the probe."""

from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field

from infra.outage import unavailable_on_outage

Pool = AsyncConnectionPool[AsyncConnection[Any]]

FIGURES: LiteralString = """
SELECT it.log, it.size, it.position, greatest(0, ends.position - it.position) AS lag, it.fault,
       coalesce(signed.size, 0) AS signed_size, signed.made_at AS signed_at
FROM audit.trees AS it
JOIN (
    SELECT 'log' AS log, coalesce(max(position), 0) AS position FROM log.events
    UNION ALL SELECT 'access', coalesce(max(number), 0) FROM access.batches
) AS ends USING (log)
LEFT JOIN LATERAL (
    SELECT size, made_at FROM audit.checkpoints WHERE log = it.log ORDER BY size DESC LIMIT 1
) AS signed ON true
ORDER BY it.log DESC
"""
FAULTS: LiteralString = "SELECT log, fault FROM audit.trees WHERE fault IS NOT NULL ORDER BY log DESC"


class TreeFigures(BaseModel):
    """A moment's look at one tree."""

    log: str = Field(description="log: the events; access: who saw what.")
    size: int = Field(description="Leaves in the tree.")
    position: int
    lag: int = Field(description="How far behind the end of its log the tree is: in positions.")
    fault: str | None = Field(description="Why it does not grow and is not signed; null: it is well.")
    signed_size: int = Field(description="Leaves under the newest checkpoint.")
    signed_at: datetime | None


async def figures(pool: Pool) -> list[TreeFigures]:
    """Each tree that was begun. Raises `Unavailable`."""
    with unavailable_on_outage():
        async with (
            pool.connection() as connection,
            connection.cursor(row_factory=class_row(TreeFigures)) as it,
        ):
            await it.execute(FIGURES)
            return await it.fetchall()


async def fault(pool: Pool) -> str | None:
    """What is wrong with a tree, if anything. Raises `Unavailable`."""
    with unavailable_on_outage():
        async with pool.connection() as connection:
            row = await (await connection.execute(FAULTS)).fetchone()
    return f"{row[0]}: {row[1]}" if row else None
