"""Unusual access: what an actor was shown in an hour and a day, judged by the actor's own past.

Robust figures, so that one wild day in the past does not hide the next: the median of the actor's active
hours or days, and their median absolute deviation (MAD, times 1.4826 an estimate of the standard deviation).
Pure: nothing here reads a clock or a database.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

PAST: Final = timedelta(days=28)
PAST_DAYS_MIN: Final = 5
"""An actor without so many active days has no past to be judged by."""
DEVIATIONS: Final = 6.0
OF_NORMAL: Final = 1.4826
PAGES_MIN: Final = 120
SUBJECTS_MIN: Final = 300
DAY_SUBJECTS_MIN: Final = 600
ODD_HOUR_PAGES_MIN: Final = 10
"""Less than this is never unusual, however quiet the past was."""


class Measure(StrEnum):
    """What is out of the usual."""

    PAGES = "pages"
    """Pages shown in an hour, a single record being one."""
    SUBJECTS = "subjects"
    """People seen in an hour."""
    BREADTH = "breadth"
    """People seen in a day."""
    HOUR = "hour"
    """Active at an hour of the day (UTC) at which the actor never was, nor in the hours beside it."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What an actor was shown since the hour, or day, began: pages, and how many different people on them."""

    since: datetime
    pages: int
    subjects: int


@dataclass(frozen=True, slots=True)
class Unusual:
    """One finding: `measured` is beyond `limit`; `usual` is the median of the actor's past."""

    actor_id: UUID
    measure: Measure
    since: datetime
    measured: int
    usual: float
    limit: float


def judge_hour(actor_id: UUID, now: Activity, past: Iterable[Activity]) -> list[Unusual]:
    """What is unusual about an actor's hour, given their hours before; nothing until there is a past."""
    known = _past(now, past)
    if _days(known) < PAST_DAYS_MIN:
        return []
    found = [
        _judged(actor_id, Measure.PAGES, now, now.pages, [it.pages for it in known], PAGES_MIN),
        _judged(actor_id, Measure.SUBJECTS, now, now.subjects, [it.subjects for it in known], SUBJECTS_MIN),
        _odd_hour(actor_id, now, known),
    ]
    return [it for it in found if it is not None]


def judge_day(actor_id: UUID, now: Activity, past: Iterable[Activity]) -> list[Unusual]:
    """What is unusual about an actor's day, given their days before."""
    known = _past(now, past)
    if _days(known) < PAST_DAYS_MIN:
        return []
    subjects = [it.subjects for it in known]
    found = _judged(actor_id, Measure.BREADTH, now, now.subjects, subjects, DAY_SUBJECTS_MIN)
    return [] if found is None else [found]


def limit(past: Sequence[int], least: int) -> float:
    """The most that is still usual after such a past: no less than `least`."""
    median = statistics.median(past)
    deviation = statistics.median(abs(it - median) for it in past)
    return max(float(least), median + DEVIATIONS * OF_NORMAL * deviation)


def _past(now: Activity, past: Iterable[Activity]) -> list[Activity]:
    return [it for it in past if now.since - PAST <= it.since < now.since and it.pages]


def _days(past: Iterable[Activity]) -> int:
    return len({it.since.date() for it in past})


def _judged(
    actor_id: UUID, measure: Measure, now: Activity, measured: int, past: Sequence[int], least: int
) -> Unusual | None:
    most = limit(past, least)
    if measured <= most:
        return None
    return Unusual(actor_id, measure, now.since, measured, statistics.median(past), most)


def _odd_hour(actor_id: UUID, now: Activity, past: Iterable[Activity]) -> Unusual | None:
    near = {(now.since.hour + step) % 24 for step in (-1, 0, 1)}
    if now.pages < ODD_HOUR_PAGES_MIN or any(it.since.hour in near for it in past):
        return None
    return Unusual(actor_id, Measure.HOUR, now.since, now.pages, 0.0, float(ODD_HOUR_PAGES_MIN - 1))
