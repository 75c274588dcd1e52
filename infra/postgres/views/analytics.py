"""Takes the figures from the rows of the pipeline and the tickets in PostgreSQL."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from domain.values import Priority, Stage
from infra.postgres.database import Pool
from infra.postgres.views.pipeline import lead_conditions
from infra.postgres.views.query import fetch, where_all
from infra.postgres.views.tickets import ticket_conditions
from projections.analytics import (
    BacklogPoint,
    CycleTime,
    Every,
    Funnel,
    Spread,
    TicketTimes,
    WinRate,
    WinRateBy,
    backlog,
    funnel,
    points,
    win_rates,
)
from projections.pipeline import LeadFilter
from projections.tickets import TicketFilter

SPREAD = sql.SQL(
    "count({0}), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM {0})), "
    "avg(extract(epoch FROM {0}))"
)
KEYS = {
    WinRateBy.AGENT: sql.SQL("it.owner_id"),
    WinRateBy.PRODUCT: sql.SQL("it.product"),
    WinRateBy.ACCOUNT: sql.SQL("it.customer_id"),
}


class PostgresAnalytics:
    """Implements `projections.analytics.Analytics`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def funnel(self, where: LeadFilter) -> Funnel:
        clause, values = where_all(lead_conditions(where))
        query = sql.SQL("SELECT furthest, stage, count(*) FROM pipeline.leads AS it WHERE {} GROUP BY 1, 2")
        records = await fetch(self.pool, query.format(clause), values)
        return funnel({(Stage(furthest), Stage(stage)): count for furthest, stage, count in records})

    async def cycle_time(self, where: LeadFilter) -> CycleTime:
        clause, values = where_all(lead_conditions(where))
        query = sql.SQL(
            "SELECT it.stage, {} FROM pipeline.leads AS it "
            "WHERE it.stage IN ('won', 'lost') AND {} GROUP BY 1"
        ).format(SPREAD.format(sql.SQL("it.closed_at - it.captured_at")), clause)
        spreads = {record[0]: _spread(record[1:]) for record in await fetch(self.pool, query, values)}
        nothing = Spread(0, None, None, None)
        return CycleTime(spreads.get(Stage.WON, nothing), spreads.get(Stage.LOST, nothing))

    async def win_rate(self, by: WinRateBy, where: LeadFilter) -> list[WinRate]:
        clause, values = where_all(lead_conditions(where))
        query = sql.SQL(
            "SELECT ({})::text, it.stage, it.currency, count(*), sum(it.value) FROM pipeline.leads AS it "
            "WHERE it.stage IN ('won', 'lost') AND {} GROUP BY 1, 2, 3"
        ).format(KEYS[by], clause)
        records = await fetch(self.pool, query, values)
        return win_rates((key, Stage(stage), *others) for key, stage, *others in records)

    async def ticket_times(self, where: TicketFilter, *, at: datetime) -> list[TicketTimes]:
        clause, values = where_all(ticket_conditions(where, at))
        query = sql.SQL(
            "SELECT it.priority, {}, {} FROM tickets.tickets AS it WHERE {} "
            "GROUP BY GROUPING SETS ((), (it.priority))"
        ).format(
            SPREAD.format(sql.SQL("it.first_response_at - it.opened_at")),
            SPREAD.format(sql.SQL("it.resolved_at - it.opened_at")),
            clause,
        )
        times = {record[0]: record[1:] for record in await fetch(self.pool, query, values)}
        return [
            TicketTimes(key, _spread(times[key][:3]), _spread(times[key][3:]))
            for key in (None, *Priority)
            if key in times
        ]

    async def backlog(
        self, where: TicketFilter, *, every: Every, since: datetime, until: datetime
    ) -> list[BacklogPoint]:
        at = points(every, since, until)
        clause, values = where_all(ticket_conditions(where, until))
        query = sql.SQL(
            "SELECT width_bucket(span.since, bound), width_bucket(span.until, bound), count(*) "
            "FROM (SELECT %s::timestamptz[] AS bound) AS bounds, tickets.tickets AS it, "
            "json_to_recordset(it.unresolved::json) AS span (since timestamptz, until timestamptz) "
            "WHERE {} GROUP BY 1, 2"
        ).format(clause)
        opened: Counter[int] = Counter()
        resolved: Counter[int] = Counter()
        for came, went, count in await fetch(self.pool, query, [[since, *at], *values]):
            opened[came] += count
            if went is not None:
                resolved[went] += count
        return backlog(at, opened, resolved)


def _spread(record: Sequence[Any]) -> Spread:
    count, percentiles, mean = record
    if not count:
        return Spread(0, None, None, None)
    p50, p90 = percentiles
    return Spread(count, p50, p90, float(mean))
