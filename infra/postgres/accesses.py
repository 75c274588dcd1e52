"""The access log in PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection

from infra.accesslog import AccessFilter, Batch, Kept, leaf_hash, newest_first
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool

APPEND: LiteralString = "SELECT access.append(%s, %s, %s, %s, %s, %s, %s::uuid[], %s)"
PRUNE: LiteralString = """
WITH old AS (
    SELECT number FROM access.batches WHERE body IS NOT NULL AND last_at < %s ORDER BY number LIMIT %s
), gone_subjects AS (
    DELETE FROM access.subjects WHERE batch BETWEEN (SELECT min(number) FROM old)
        AND (SELECT max(number) FROM old) AND batch IN (SELECT number FROM old)
), gone_actors AS (
    DELETE FROM access.actors WHERE batch IN (SELECT number FROM old)
)
UPDATE access.batches SET body = NULL WHERE number IN (SELECT number FROM old) RETURNING number
"""
BATCHES_A_STEP = 20
PRUNED_AT_ONCE = 1_000

BY_SUBJECT: LiteralString = "JOIN access.subjects AS by_subject ON by_subject.batch = it.number"
BY_ACTOR: LiteralString = "JOIN access.actors AS by_actor ON by_actor.batch = it.number"


class PostgresAccesses:
    """Implements `infra.accesslog.AccessStore`. Batches are stored through the `lane`, where one is given."""

    def __init__(self, pool: Pool, lane: Pool | None = None) -> None:
        self._pool = pool
        self._lane = lane or pool

    async def append(self, batch: Batch) -> None:
        times = [it.at for it in batch.accesses]
        body = batch.body()
        subjects = "{" + ",".join(sorted(batch.subjects())) + "}"
        values = (
            batch.id, min(times), max(times), len(times), leaf_hash(body), body, subjects,
            list(batch.actors()),
        )  # fmt: skip
        with unavailable_on_outage():
            async with self._lane.connection() as connection:
                await connection.execute(APPEND, values)

    async def find(
        self, where: AccessFilter, *, limit: int, before: tuple[int, int] | None = None
    ) -> list[Kept]:
        found: list[Kept] = []
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                async for number, body in _batches(connection, where, before):
                    found += newest_first(number, body, where, before)
                    if len(found) >= limit:
                        break
        return found[:limit]

    async def prune(self, until: datetime) -> int:
        pruned = 0
        while numbers := await self._prune_some(until):
            pruned += numbers
        return pruned

    async def _prune_some(self, until: datetime) -> int:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(PRUNE, (until, PRUNED_AT_ONCE))
                return len(await cursor.fetchall())


async def _batches(
    connection: AsyncConnection[Any], where: AccessFilter, before: tuple[int, int] | None
) -> AsyncIterator[tuple[int, bytes]]:
    """The batches that may hold what is asked for, the newest first, a few at a time."""
    joins, conditions, values = _conditions(where)
    top = before[0] if before else 2**63 - 1
    while True:
        cursor = await connection.execute(
            f"SELECT it.number, it.body FROM access.batches AS it {joins}"  # noqa: S608  constants
            f" WHERE it.body IS NOT NULL AND it.number <= %s{conditions}"
            " ORDER BY it.number DESC LIMIT %s".encode(),
            [top, *values, BATCHES_A_STEP],
            binary=True,
        )
        records = await cursor.fetchall()
        for record in records:
            yield record
        if len(records) < BATCHES_A_STEP:
            return
        top = records[-1][0] - 1


def _conditions(where: AccessFilter) -> tuple[str, str, list[Any]]:
    joins, conditions, values = "", "", []
    for value, join, condition in (
        (where.subject_id, BY_SUBJECT, "by_subject.subject_id = %s"),
        (where.actor_id, BY_ACTOR, "by_actor.actor_id = %s"),
        (where.since, "", "it.last_at >= %s"),
        (where.until, "", "it.first_at < %s"),
    ):
        if value is not None:
            joins += f" {join}"
            conditions += f" AND {condition}"
            values.append(value)
    return joins, conditions, values
