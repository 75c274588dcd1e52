"""Reads the privacy requests from PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.query import Conditions, RowReader, fetch
from infra.postgres.views.tables import PRIVACY_REQUESTS
from projections.privacy import PrivacyFigures, PrivacyRequestFilter, PrivacyRequestRow

OVERDUE = sql.SQL("(it.state = 'open' AND it.due_on < %s)")
"""What `PrivacyRequestRow.overdue` says, with a placeholder for the day, in UTC."""


class PostgresPrivacyRequests:
    """Implements `projections.privacy.PrivacyRequests`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._requests = RowReader(pool, PRIVACY_REQUESTS)

    async def request(self, id: UUID) -> PrivacyRequestRow | None:
        return await self._requests.one(id)

    async def requests(self, ids: Sequence[UUID]) -> list[PrivacyRequestRow]:
        return await self._requests.many(ids)

    async def list_requests(
        self, where: PrivacyRequestFilter, *, at: datetime, limit: int, after: UUID | None = None
    ) -> list[PrivacyRequestRow]:
        today = at.astimezone(UTC).date()
        conditions: Conditions = [
            (sql.SQL("it.kind = %s"), where.kind),
            (sql.SQL("it.state = %s"), where.state),
            (sql.SQL("it.subject_id = %s"), where.subject_id),
            (sql.SQL("it.due_on < %s"), where.due_before),
            (OVERDUE + sql.SQL(" = %s"), None if where.overdue is None else [today, where.overdue]),
            (sql.SQL("(it.erasure_id IS NOT NULL) = %s"), where.erasing),
        ]
        return await self._requests.page(conditions, limit=limit, after=after)

    async def figures(self, *, at: datetime) -> PrivacyFigures:
        query = sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE {}) FROM privacy.requests AS it WHERE it.state = 'open'"
        ).format(OVERDUE)
        ((open_, overdue),) = await fetch(self.pool, query, [at.astimezone(UTC).date()])
        return PrivacyFigures(open_, overdue)
