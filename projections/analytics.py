"""The figures: funnel and conversion, cycle time, win rates, ticket times, backlog.

They have no rows of their own: they are totals over the rows of the pipeline and the tickets.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from domain.model import DomainError
from domain.values import Money, Priority, Stage
from projections.pipeline import FUNNEL, LeadFilter, total
from projections.tickets import TicketFilter

DAY = timedelta(days=1)


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
    """How many tickets were unresolved just before that moment; what came and went since the point before."""

    at: datetime
    unresolved: int
    opened: int
    resolved: int


POINTS_MAX = 1_000


class TooManyPoints(DomainError):
    """A series has at most 1,000 points: ask for a shorter one, or for points further apart."""


def points(every: Every, since: datetime, until: datetime) -> list[datetime]:
    """Each midnight after `since`, up to the first at or after `until`. Raises `TooManyPoints`."""
    at = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    if every is Every.WEEK:
        at += DAY * (-at.weekday() % 7)
    step = DAY * 7 if every is Every.WEEK else DAY
    if until - at > step * POINTS_MAX:
        raise TooManyPoints(every)
    found = [at]
    while found[-1] < until:
        found.append(found[-1] + step)
    return found


def funnel(counts: Mapping[tuple[Stage, Stage], int]) -> Funnel:
    """The funnel of so many leads, counted by the furthest stage they reached and by where they stand."""
    reached = {
        step: sum(count for (furthest, _), count in counts.items() if FUNNEL.index(furthest) >= place)
        for place, step in enumerate(FUNNEL)
    }
    everyone = reached[FUNNEL[0]]
    standing: Counter[Stage] = Counter()
    for (_, stage), count in counts.items():
        standing[stage] += count
    closed = {stage: standing[stage] for stage in (Stage.WON, Stage.LOST, Stage.DISQUALIFIED)}
    return Funnel(
        steps=tuple(
            FunnelStep(
                stage=step,
                reached=reached[step],
                of_previous=_share(reached[step], reached[FUNNEL[place - 1]]) if place else None,
                of_all=_share(reached[step], everyone),
            )
            for place, step in enumerate(FUNNEL)
        ),
        open=everyone - sum(closed.values()),
        won=closed[Stage.WON],
        lost=closed[Stage.LOST],
        disqualified=closed[Stage.DISQUALIFIED],
    )


def win_rates(counts: Iterable[tuple[str | None, Stage, str | None, int, Decimal | None]]) -> list[WinRate]:
    """Win rates from rows of key, stage (won or lost), currency, number of leads and their value."""
    won: Counter[str | None] = Counter()
    lost: Counter[str | None] = Counter()
    values: dict[str | None, list[Money]] = defaultdict(list)
    for key, stage, currency, count, value in counts:
        (won if stage is Stage.WON else lost)[key] += count
        if stage is Stage.WON and value is not None and currency is not None:
            values[key].append(total(value, currency))
    keys = sorted({*won, *lost}, key=lambda key: (key is None, key or ""))
    return [
        WinRate(
            key=key,
            won=won[key],
            lost=lost[key],
            rate=_share(won[key], won[key] + lost[key]),
            values=tuple(sorted(values[key], key=lambda money: money.currency)),
        )
        for key in keys
    ]


def backlog(
    at: Sequence[datetime], opened: Mapping[int, int], resolved: Mapping[int, int]
) -> list[BacklogPoint]:
    """The series at these moments. What came and went is counted by stretch: 0 is all that lies before the
    series, 1 leads up to its first moment."""
    found: list[BacklogPoint] = []
    unresolved = opened.get(0, 0) - resolved.get(0, 0)
    for stretch, moment in enumerate(at, start=1):
        came, went = opened.get(stretch, 0), resolved.get(stretch, 0)
        unresolved += came - went
        found.append(BacklogPoint(at=moment, unresolved=unresolved, opened=came, resolved=went))
    return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


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
        """The series at the `points`. Raises `TooManyPoints`.

        The first point counts as come and gone what came and went since `since`; a filter by breach looks at
        the ticket as of `until`.
        """
        ...
