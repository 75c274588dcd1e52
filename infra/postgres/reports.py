"""Reports in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from infra.history.reports import KEPT, ORPHANED_AFTER, Report, ReportState
from infra.postgres.database import Pool
from infra.postgres.views.query import fetch


class PostgresReports:
    """Implements `infra.history.reports.ReportStore`. Old ones go when new ones come."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def begin(self, report: Report) -> None:
        await self._changed(
            "WITH old AS (DELETE FROM history.reports WHERE asked_at < now() - %s) "
            "INSERT INTO history.reports (id, view, asked, actor, asked_at, state, beat_at) "
            "VALUES (%s, %s, %s, %s, %s, 'running', now()) RETURNING id",
            [KEPT, report.id, report.view, Jsonb(dict(report.asked)), report.actor, report.asked_at],
        )

    async def find(self, id: UUID) -> Report | None:
        query = sql.SQL(
            "SELECT id, view, asked, actor, asked_at, state, done, total FROM history.reports WHERE id = %s"
        )
        for own_id, view, asked, actor, asked_at, state, done, total in await fetch(self.pool, query, [id]):
            return Report(own_id, view, asked, actor, asked_at, ReportState(state), done, total)
        return None

    async def result(self, id: UUID) -> Mapping[str, Any] | None:
        query = sql.SQL("SELECT result FROM history.reports WHERE id = %s AND state = 'done'")
        for (result,) in await fetch(self.pool, query, [id]):
            found: Mapping[str, Any] = result
            return found
        return None

    async def beat(self, id: UUID, done: int, total: int) -> bool:
        return await self._changed(
            "UPDATE history.reports SET done = %s, total = %s, beat_at = now() "
            "WHERE id = %s AND state = 'running' RETURNING id",
            [done, total, id],
        )

    async def adopt(self, id: UUID) -> bool:
        return await self._changed(
            "UPDATE history.reports SET beat_at = now() "
            "WHERE id = %s AND state = 'running' AND beat_at < now() - %s RETURNING id",
            [id, ORPHANED_AFTER],
        )

    async def finish(self, id: UUID, result: Mapping[str, Any]) -> None:
        await self._changed(
            "UPDATE history.reports SET state = 'done', done = total, result = %s "
            "WHERE id = %s AND state = 'running' RETURNING id",
            [Jsonb(dict(result)), id],
        )

    async def end(self, id: UUID, state: ReportState) -> bool:
        return await self._changed(
            "UPDATE history.reports SET state = %s WHERE id = %s AND state = 'running' RETURNING id",
            [str(state), id],
        )

    async def _changed(self, query: LiteralString, values: Sequence[Any]) -> bool:
        return bool(await fetch(self.pool, sql.SQL(query), values))
