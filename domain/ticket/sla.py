"""When a ticket must be answered and resolved: limits by priority, in whole or business time, over pauses.

Pure: a moment is always an aware `datetime` and is passed. All arithmetic is done in UTC.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from domain.values import Priority

Span = tuple[datetime, datetime]
"""From the first moment up to, not including, the second."""

Pause = tuple[datetime, datetime | None]
"""From when the SLA clock stands until when; None: it stands still."""

MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business hours: by weekday (0 is Monday) when we open and close, in the local time of an IANA zone.

    Closing at `time(0)` is midnight at the end of the day. A local time that a change of the clocks skips or
    doubles is read as RFC 5545, 3.3.5 reads it: by the offset before the gap, and as the first of two.
    """

    zone: str
    hours: Mapping[int, Sequence[tuple[time, time]]]
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not any(self.hours.values()):
            raise ValueError("a calendar needs opening hours on some weekday, or nothing is ever due")
        if not all(
            closes > opens or closes == MIDNIGHT for day in self.hours.values() for opens, closes in day
        ):
            raise ValueError("business hours close after they open")

    def open_between(self, start: datetime, end: datetime) -> Iterator[Span]:
        """The spans of business time between two moments, in order and apart."""
        zone = ZoneInfo(self.zone)
        day, last = start.astimezone(zone).date() - timedelta(days=1), end.astimezone(zone).date()
        until = start
        while day <= last:
            for opens, closes in (
                sorted(self.hours.get(day.weekday(), ())) if day not in self.holidays else ()
            ):
                closing_day = day + timedelta(days=1) if closes == MIDNIGHT else day
                # Hours may overlap where the clocks change: no moment counts twice.
                since = max(until, datetime.combine(day, opens, zone).astimezone(UTC))
                until = max(until, min(end, datetime.combine(closing_day, closes, zone).astimezone(UTC)))
                if since < until:
                    yield since, until
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something may take, in minutes of business time or of whole (24x7) time."""

    minutes: int
    business: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits by priority, and the calendar that business time is counted in."""

    calendar: Calendar
    first_response: Mapping[Priority, Limit]
    resolution: Mapping[Priority, Limit]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When the first response and the resolution are due; None while a pause leaves that open."""

    first_response: datetime | None
    resolution: datetime | None


def deadlines(
    policy: Policy, *, priority: Priority, opened_at: datetime, pauses: Sequence[Pause] = ()
) -> Deadlines:
    """What is due when, given the pauses so far. A new priority counts from the opening too."""

    def due_within(limit: Limit) -> datetime | None:
        return due(
            opened_at, limit.minutes, calendar=policy.calendar if limit.business else None, pauses=pauses
        )

    return Deadlines(due_within(policy.first_response[priority]), due_within(policy.resolution[priority]))


def due(
    start: datetime, minutes: int, *, calendar: Calendar | None = None, pauses: Sequence[Pause] = ()
) -> datetime | None:
    """The moment when `elapsed` from `start` reaches the minutes; None if the clock stands before that."""
    left = timedelta(minutes=minutes)
    standing_since = min((since for since, until in pauses if until is None), default=None)
    for since, until in _running(start, standing_since or FAR, calendar, pauses):
        if until - since >= left:
            return since + left
        left -= until - since
    return None


def elapsed(
    start: datetime, end: datetime, *, calendar: Calendar | None = None, pauses: Sequence[Pause] = ()
) -> timedelta:
    """How long the SLA clock ran between two moments: in business time if a calendar is given."""
    spans = _running(start, end, calendar, pauses)
    return sum((until - since for since, until in spans), timedelta())


def is_breached(due_at: datetime | None, *, done_at: datetime | None, now: datetime) -> bool:
    """Whether it was done, or is still undone, after it was due."""
    return due_at is not None and (done_at or now) > due_at


FAR = datetime(9000, 1, 1, tzinfo=UTC)


def _running(
    start: datetime, end: datetime, calendar: Calendar | None, pauses: Iterable[Pause]
) -> Iterator[Span]:
    """The spans between two moments in which the SLA clock runs."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    for since, until in _without(pauses, start, end):
        if calendar is None:
            yield since, until
        else:
            yield from calendar.open_between(since, until)


def _without(pauses: Iterable[Pause], start: datetime, end: datetime) -> Iterator[Span]:
    for since, until in sorted((since, until or FAR) for since, until in pauses):
        if start < min(since, end):
            yield start, min(since, end)
        start = max(start, until)
    if start < end:
        yield start, end


_OFFICE_DAY = ((time(9), time(17)),)

STANDARD = Policy(
    calendar=Calendar("UTC", MappingProxyType(dict.fromkeys(range(5), _OFFICE_DAY))),
    first_response=MappingProxyType(
        {
            Priority.CRITICAL: Limit(30, business=False),
            Priority.HIGH: Limit(120, business=False),
            Priority.MEDIUM: Limit(240),
            Priority.LOW: Limit(480),
        }
    ),
    resolution=MappingProxyType(
        {
            Priority.CRITICAL: Limit(240, business=False),
            Priority.HIGH: Limit(1440, business=False),
            Priority.MEDIUM: Limit(1440),
            Priority.LOW: Limit(2400),
        }
    ),
)
"""What holds until an organisation sets limits of its own: critical and high tickets count day and night."""
