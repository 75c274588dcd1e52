"""Reads the pipeline from PostgreSQL."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from psycopg import sql

from domain.values import Money, Stage
from infra.postgres.database import Pool
from infra.postgres.views.query import Conditions, RowReader, fetch, where_all
from infra.postgres.views.tables import LEADS
from projections.model import Headed, Heads
from projections.pipeline import LeadFilter, LeadRow, StageTotal, total


class PostgresPipeline:
    """Implements `projections.pipeline.Pipeline`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._leads = RowReader(pool, LEADS, member="owner_id")

    async def lead(self, id: UUID) -> LeadRow | None:
        return await self._leads.one(id)

    async def leads(self, ids: Sequence[UUID]) -> list[LeadRow]:
        return await self._leads.many(ids)

    async def list_leads(self, where: LeadFilter, *, limit: int, after: UUID | None = None) -> list[LeadRow]:
        return await self._leads.page(lead_conditions(where), limit=limit, after=after)

    async def lead_heads(self, where: LeadFilter, *, limit: int, after: UUID | None = None) -> Heads:
        return await self._leads.heads(lead_conditions(where), limit=limit, after=after)

    async def headed_leads(self, ids: Sequence[UUID]) -> list[Headed[LeadRow]]:
        return await self._leads.headed(ids)

    async def totals(self, where: LeadFilter) -> list[StageTotal]:
        clause, values = where_all(lead_conditions(where))
        query = sql.SQL(
            "SELECT it.stage, it.currency, count(*), sum(it.value) FROM pipeline.leads AS it WHERE {} "
            "GROUP BY it.stage, it.currency ORDER BY it.stage, it.currency"
        ).format(clause)
        counts: dict[str, int] = defaultdict(int)
        sums: dict[str, list[Money]] = defaultdict(list)
        for stage, currency, count, value in await fetch(self.pool, query, values):
            counts[stage] += count
            if value is not None:
                sums[stage].append(total(value, currency))
        return [StageTotal(stage, counts[stage], tuple(sums[stage])) for stage in Stage]


def lead_conditions(where: LeadFilter) -> Conditions:
    """What the filter asks of a row of `pipeline.leads`."""
    return [
        (sql.SQL("it.stage = %s"), where.stage),
        (sql.SQL("it.owner_id = %s"), where.owner_id),
        (sql.SQL("it.product = %s"), where.product),
        (sql.SQL("it.campaign = %s"), where.campaign),
        (sql.SQL("it.source = %s"), where.source),
        (sql.SQL("it.country = %s"), where.country),
        (sql.SQL("it.customer_id = %s"), where.customer_id),
        (sql.SQL("it.currency = %s"), where.currency),
        (sql.SQL("it.owner_id IN (SELECT id FROM directory.members WHERE office = %s)"), where.region),
        (sql.SQL("it.captured_at >= %s"), where.captured_from),
        (sql.SQL("it.captured_at < %s"), where.captured_until),
        (sql.SQL("it.closed_at >= %s"), where.closed_from),
        (sql.SQL("it.closed_at < %s"), where.closed_until),
    ]
