"""The figures over HTTP: funnel, cycle time, win rates, ticket times, backlog."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.values import Priority, Stage
from infra.http.errors import READ_REFUSALS, documented
from infra.http.leads import OF_LEADS, LeadFields
from infra.http.reading import Page, Seeing
from infra.http.records import SumsByCurrency, sums
from infra.http.replaying import ACCEPTED, TwoAxes, answer, two_axes
from infra.http.tickets import OF_TICKETS, TicketFields
from infra.http.values import Moment
from projections.analytics import Every, WinRateBy
from projections.views import Views

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


async def _funnel(views: Views, query: LeadFields, now: datetime) -> FunnelFigure:
    return FunnelFigure.model_validate(await views.analytics.funnel(query.where()))


async def _cycle_time(views: Views, query: LeadFields, now: datetime) -> CycleTimeFigure:
    return CycleTimeFigure.model_validate(await views.analytics.cycle_time(query.where()))


async def _win_rate(views: Views, query: WinRateQuery, now: datetime) -> Page[WinRateFigure]:
    rates = await views.analytics.win_rate(query.by, query.where())
    items = [
        WinRateFigure.model_validate(
            {"key": it.key, "won": it.won, "lost": it.lost, "rate": it.rate} | sums(it.values)
        )
        for it in rates
    ]
    return Page(items=items, next=None)


async def _ticket_times(views: Views, query: TicketFields, now: datetime) -> Page[TicketTimesFigure]:
    times = await views.analytics.ticket_times(query.where(), at=now)
    return Page(items=[TicketTimesFigure.model_validate(it) for it in times], next=None)


async def _backlog(views: Views, query: BacklogQuery, now: datetime) -> Page[BacklogFigure]:
    until = query.until or now
    since = query.since or until - timedelta(days=BACKLOG_DAYS)
    points = await views.analytics.backlog(query.where(), every=query.every, since=since, until=until)
    return Page(items=[BacklogFigure.model_validate(it) for it in points], next=None)


FUNNEL = two_axes(TwoAxes("funnel", OF_LEADS, LeadFields, _funnel))
CYCLE_TIME = two_axes(TwoAxes("cycle_time", OF_LEADS, LeadFields, _cycle_time))
WIN_RATE = two_axes(TwoAxes("win_rate", OF_LEADS, WinRateQuery, _win_rate))
TICKET_TIMES = two_axes(TwoAxes("ticket_times", OF_TICKETS, TicketFields, _ticket_times))
BACKLOG = two_axes(TwoAxes("backlog", OF_TICKETS, BacklogQuery, _backlog))
ANSWERS: dict[int | str, dict[str, Any]] = {**ACCEPTED, **documented(*READ_REFUSALS)}


@router.get("/funnel", response_model=FunnelFigure, responses=ANSWERS)
async def read_funnel(reading: Seeing, query: Annotated[LeadFields, Query()]) -> Any:
    """How many leads reached each stage, and what share goes on to the next."""
    return await answer(reading, FUNNEL, query)


@router.get("/cycle_time", response_model=CycleTimeFigure, responses=ANSWERS)
async def read_cycle_time(reading: Seeing, query: Annotated[LeadFields, Query()]) -> Any:
    """How long sales take, the won and the lost."""
    return await answer(reading, CYCLE_TIME, query)


@router.get("/win_rate", response_model=Page[WinRateFigure], responses=ANSWERS)
async def read_win_rate(reading: Seeing, query: Annotated[WinRateQuery, Query()]) -> Any:
    """What share of the closed leads was won, by agent, product or account."""
    return await answer(reading, WIN_RATE, query)


@router.get("/ticket_times", response_model=Page[TicketTimesFigure], responses=ANSWERS)
async def read_ticket_times(reading: Seeing, query: Annotated[TicketFields, Query()]) -> Any:
    """How long customers wait for the first reply, and for the resolution, by priority."""
    return await answer(reading, TICKET_TIMES, query)


@router.get("/backlog", response_model=Page[BacklogFigure], responses=ANSWERS)
async def read_backlog(reading: Seeing, query: Annotated[BacklogQuery, Query()]) -> Any:
    """How many tickets were unresolved at each midnight, or each Monday's, in UTC. At most 1,000 points."""
    return await answer(reading, BACKLOG, query)
