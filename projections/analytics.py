"""The figures: funnel and conversion, cycle time, win rates, ticket times, backlog.

They have no rows of their own: they are totals over the rows of the pipeline and the tickets.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from domain.values import Money, Priority, Stage
from projections.pipeline import LeadFilter
from projections.tickets import TicketFilter


class WinRateBy(StrEnum):
    """What win rates are compared by: the owner, the product, or the customer."""

    AGENT = "agent"
    PRODUCT = "product"
    ACCOUNT = "account"


class Every(StrEnum):
    """How far apart the points of a series are: midnights, or those of Mondays, in UTC."""

    DAY = "day"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How many leads reached the stage or went past it, as a share of the step before and of all."""

    stage: Stage
    reached: int
    of_previous: float | None
    of_all: float | None


@dataclass(frozen=True, slots=True)
class Funnel:
    """The way to a sale, step by step, and where the leads stand now. No share of nothing: None."""

    steps: tuple[FunnelStep, ...]
    open: int
    won: int
    lost: int
    disqualified: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How long things take: seconds, percentiles interpolated; None where nothing was counted."""

    count: int
    p50_seconds: float | None
    p90_seconds: float | None
    mean_seconds: float | None


@dataclass(frozen=True, slots=True)
class CycleTime:
    """From capture to the end of the sale."""

    won: Spread
    lost: Spread


@dataclass(frozen=True, slots=True)
class WinRate:
    """Of the leads that were won or lost, how many were won, and for how much; `key` as in `WinRateBy`."""

    key: str | None
    won: int
    lost: int
    rate: float | None
    values: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class TicketTimes:
    """From opening to the first reply, and to the last resolution; waiting included. None: all priorities."""

    priority: Priority | None
    first_response: Spread
    resolution: Spread


@dataclass(frozen=True, slots=True)
class BacklogPoint:
    """How many tickets were unresolved at that moment, and what came and went in the stretch before it."""

    at: datetime
    unresolved: int
    opened: int
    resolved: int


class Analytics(Protocol):
    """Answers with figures over the leads or tickets that the filter lets through."""

    async def funnel(self, where: LeadFilter) -> Funnel: ...

    async def cycle_time(self, where: LeadFilter) -> CycleTime: ...

    async def win_rate(self, by: WinRateBy, where: LeadFilter) -> list[WinRate]:
        """In order of key; leads without one come last."""
        ...

    async def ticket_times(self, where: TicketFilter, *, at: datetime) -> list[TicketTimes]:
        """All priorities together first, then those that occur, the most pressing first."""
        ...

    async def backlog(
        self, where: TicketFilter, *, every: Every, since: datetime, until: datetime
    ) -> list[BacklogPoint]:
        """A point at each midnight after `since`, the last at or after `until`; at most 1,000 of them.

        Raises `TooManyPoints`. A filter by status or breach looks at the ticket as of `until`.
        """
        ...
