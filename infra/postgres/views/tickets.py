"""Reads the tickets from PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql

from domain.values import TicketStatus
from infra.postgres.database import Pool
from infra.postgres.views.query import RowReader, either, fetch, where_all
from infra.postgres.views.tables import TICKETS
from projections.tickets import Queue, TicketFilter, TicketRow

UNRESOLVED = sql.SQL("(it.status IN ('open', 'waiting'))")
BREACHED = sql.SQL(
    "(coalesce(coalesce(it.first_response_at, it.resolved_at, %s) > it.first_response_due, false)"
    " OR coalesce(coalesce(it.resolved_at, %s) > it.resolution_due, false))"
)
"""What `TicketRow.breached` says, with two placeholders for the moment."""


class PostgresTickets:
    """Implements `projections.tickets.Tickets`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._tickets = RowReader(pool, TICKETS)

    async def ticket(self, id: UUID) -> TicketRow | None:
        return await self._tickets.one(id)

    async def tickets(self, ids: Sequence[UUID]) -> list[TicketRow]:
        return await self._tickets.many(ids)

    async def list_tickets(
        self, where: TicketFilter, *, at: datetime, limit: int, after: UUID | None = None
    ) -> list[TicketRow]:
        return await self._tickets.page(ticket_conditions(where, at), limit=limit, after=after)

    async def queues(self, where: TicketFilter, *, at: datetime) -> list[Queue]:
        clause, values = where_all(ticket_conditions(where, at))
        query = sql.SQL(
            "SELECT it.team, count(*) FILTER (WHERE it.status = 'open'), "
            "count(*) FILTER (WHERE it.status = 'waiting'), count(*) FILTER (WHERE it.agent_id IS NULL), "
            "count(*) FILTER (WHERE {breached}), min(it.opened_at) "
            "FROM tickets.tickets AS it WHERE it.status IN ('open', 'waiting') AND {where} "
            'GROUP BY it.team ORDER BY it.team COLLATE "C" NULLS LAST'
        ).format(breached=BREACHED, where=clause)
        return [Queue(*record) for record in await fetch(self.pool, query, [at, at, *values])]


def ticket_conditions(where: TicketFilter, at: datetime) -> list[tuple[sql.Composable, Any]]:
    """What the filter asks of a row of `tickets.tickets`."""
    return [
        (sql.SQL("it.team = %s"), where.team),
        (sql.SQL("it.agent_id = %s"), where.agent_id),
        (sql.SQL("it.status = %s"), where.status),
        (sql.SQL("it.priority = %s"), where.priority),
        (sql.SQL("it.line = %s"), where.line),
        (sql.SQL("it.customer_id = %s"), where.customer_id),
        (sql.SQL("it.product = %s"), where.product),
        (sql.SQL("it.channel = %s"), where.channel),
        *either(UNRESOLVED, where.unresolved),
        (UNRESOLVED, [] if where.status in (TicketStatus.OPEN, TicketStatus.WAITING) else None),
        (sql.SQL("(it.agent_id IS NULL) = %s"), where.unassigned),
        (BREACHED + sql.SQL(" = %s"), None if where.breached is None else [at, at, where.breached]),
    ]
