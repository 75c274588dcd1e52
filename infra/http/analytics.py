"""The figures over HTTP: funnel, cycle time, win rates, ticket times, backlog."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.values import Priority, Stage
from infra.http.auth import Reader
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, documented
from infra.http.leads import LeadFields
from infra.http.reading import Page, wait_for
from infra.http.records import SumsByCurrency, sums
from infra.http.tickets import TicketFields
from infra.http.values import Moment
from projections.analytics import Every, WinRateBy

router = APIRouter(prefix="/v1/analytics", tags=["analytics"])
BACKLOG_DAYS = 90


class Figure(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class FunnelStepFigure(Figure):
    """How many leads reached the stage or went past it; shares of nothing are null."""

    stage: Stage
    reached: int
    of_previous: float | None
    of_all: float | None


class FunnelFigure(Figure):
    """The way to a sale, step by step, and where the leads stand now."""

    steps: list[FunnelStepFigure]
    open: int
    won: int
    lost: int
    disqualified: int


class SpreadFigure(Figure):
    """How long things take: percentiles are interpolated; null where nothing was counted."""

    count: int
    p50_seconds: float | None
    p90_seconds: float | None
    mean_seconds: float | None


class CycleTimeFigure(Figure):
    """From capture to the end of the sale."""

    won: SpreadFigure
    lost: SpreadFigure


class WinRateFigure(SumsByCurrency):
    """Of the leads that were won or lost, how many were won, and for how much."""

    key: str | None = Field(description="A member's id, a product, or a customer's id; null: leads without.")
    won: int
    lost: int
    rate: float | None


class TicketTimesFigure(Figure):
    """From opening to the first reply, and to the last resolution, waits included."""

    priority: Priority | None = Field(description="null: all priorities together.")
    first_response: SpreadFigure
    resolution: SpreadFigure


class BacklogFigure(Figure):
    """How many tickets were unresolved at that moment; what came and went in the stretch before it."""

    at: Moment
    unresolved: int
    opened: int
    resolved: int


class WinRateQuery(LeadFields):
    by: WinRateBy = Field(WinRateBy.AGENT, description="What to compare.")


class BacklogQuery(TicketFields):
    every: Every = Field(Every.WEEK, description="How far apart the points are.")
    since: Moment | None = Field(None, description="Absent: 90 days before `until`.")
    until: Moment | None = Field(None, description="Absent: now.")


@router.get("/funnel", responses=documented(*READ_REFUSALS))
async def read_funnel(door: Door, token: Reader, query: Annotated[LeadFields, Query()]) -> FunnelFigure:
    """How many leads reached each stage, and what share goes on to the next."""
    await wait_for(door, query)
    return FunnelFigure.model_validate(await door.views.analytics.funnel(query.where()))


@router.get("/cycle_time", responses=documented(*READ_REFUSALS))
async def read_cycle_time(
    door: Door, token: Reader, query: Annotated[LeadFields, Query()]
) -> CycleTimeFigure:
    """How long sales take, the won and the lost."""
    await wait_for(door, query)
    return CycleTimeFigure.model_validate(await door.views.analytics.cycle_time(query.where()))


@router.get("/win_rate", responses=documented(*READ_REFUSALS))
async def read_win_rate(
    door: Door, token: Reader, query: Annotated[WinRateQuery, Query()]
) -> Page[WinRateFigure]:
    """What share of the closed leads was won, by agent, product or account."""
    await wait_for(door, query)
    rates = await door.views.analytics.win_rate(query.by, query.where())
    items = [
        WinRateFigure.model_validate(
            {"key": it.key, "won": it.won, "lost": it.lost, "rate": it.rate} | sums(it.values)
        )
        for it in rates
    ]
    return Page(items=items, next=None)


@router.get("/ticket_times", responses=documented(*READ_REFUSALS))
async def read_ticket_times(
    door: Door, token: Reader, query: Annotated[TicketFields, Query()]
) -> Page[TicketTimesFigure]:
    """How long customers wait for the first reply, and for the resolution, by priority."""
    await wait_for(door, query)
    times = await door.views.analytics.ticket_times(query.where(), at=door.clock.now())
    return Page(items=[TicketTimesFigure.model_validate(it) for it in times], next=None)


@router.get("/backlog", responses=documented(*READ_REFUSALS))
async def read_backlog(
    door: Door, token: Reader, query: Annotated[BacklogQuery, Query()]
) -> Page[BacklogFigure]:
    """How many tickets were unresolved at each midnight, or each Monday's, in UTC. At most 1,000 points."""
    await wait_for(door, query)
    until = query.until or door.clock.now()
    since = query.since or until - timedelta(days=BACKLOG_DAYS)
    points = await door.views.analytics.backlog(query.where(), every=query.every, since=since, until=until)
    return Page(items=[BacklogFigure.model_validate(it) for it in points], next=None)
