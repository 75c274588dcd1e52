"""When an actor's access is out of their own usual."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from infra.unusual import DAY_SUBJECTS_MIN, PAGES_MIN, PAST, Activity, Measure, Unusual, judge_day, judge_hour

MONDAY = datetime(2026, 3, 30, 10, tzinfo=UTC)
ACTOR = uuid4()


def hours(days: int, pages: int = 30, subjects: int = 200, *, at_hour: int = 10) -> list[Activity]:
    """An active hour a day, before the Monday."""
    first = MONDAY.replace(hour=at_hour)
    return [
        Activity(first - timedelta(days=it), pages + it % 3, subjects + it % 7) for it in range(1, days + 1)
    ]


def measures(found: list[Unusual]) -> set[Measure]:
    return {it.measure for it in found}


def test_an_hour_like_the_others_is_usual() -> None:
    assert judge_hour(ACTOR, Activity(MONDAY, 33, 210), hours(20)) == []


def test_far_more_pages_than_ever_are_unusual() -> None:
    (found,) = judge_hour(ACTOR, Activity(MONDAY, 500, 210), hours(20))
    assert (found.measure, found.measured, found.actor_id, found.since) == (Measure.PAGES, 500, ACTOR, MONDAY)
    assert found.usual == 31
    assert found.limit == PAGES_MIN


def test_far_more_people_than_ever_are_unusual_in_an_hour_and_in_a_day() -> None:
    now = Activity(MONDAY, 30, 5_000)
    assert measures(judge_hour(ACTOR, now, hours(20))) == {Measure.SUBJECTS}
    assert measures(judge_day(ACTOR, now, hours(20))) == {Measure.BREADTH}


def test_a_heavy_user_may_do_what_is_a_lot_for_others() -> None:
    past = hours(20, pages=900, subjects=9_000)
    assert judge_hour(ACTOR, Activity(MONDAY, 905, 9_010), past) == []
    assert measures(judge_hour(ACTOR, Activity(MONDAY, 1_500, 9_010), past)) == {Measure.PAGES}


def test_one_wild_day_in_the_past_does_not_hide_the_next() -> None:
    past = [*hours(20), Activity(MONDAY - timedelta(hours=20), 100_000, 100_000)]
    assert measures(judge_hour(ACTOR, Activity(MONDAY, 5_000, 210), past)) == {Measure.PAGES}


def test_little_is_never_unusual_however_quiet_the_past_was() -> None:
    quiet = hours(20, pages=1, subjects=1)
    assert judge_hour(ACTOR, Activity(MONDAY, PAGES_MIN, 100), quiet) == []
    assert judge_day(ACTOR, Activity(MONDAY, 40, DAY_SUBJECTS_MIN), quiet) == []


@pytest.mark.parametrize("days", [0, 4])
def test_nobody_is_judged_without_a_past(days: int) -> None:
    assert judge_hour(ACTOR, Activity(MONDAY, 100_000, 100_000), hours(days)) == []
    assert judge_day(ACTOR, Activity(MONDAY, 100_000, 100_000), hours(days)) == []


def test_what_lies_too_far_back_is_no_past() -> None:
    old = [Activity(it.since - PAST, it.pages, it.subjects) for it in hours(20)]
    assert judge_hour(ACTOR, Activity(MONDAY, 100_000, 100_000), old) == []


def test_an_hour_of_the_day_at_which_the_actor_never_worked_is_unusual() -> None:
    night = MONDAY.replace(hour=2)
    assert measures(judge_hour(ACTOR, Activity(night, 20, 20), hours(20))) == {Measure.HOUR}
    assert judge_hour(ACTOR, Activity(night, 9, 9), hours(20)) == []
    late = Activity(MONDAY.replace(hour=11), 20, 20)
    assert judge_hour(ACTOR, late, hours(20)) == []
    before_midnight = hours(20, at_hour=23)
    assert judge_hour(ACTOR, Activity(MONDAY.replace(hour=0), 20, 20), before_midnight) == []
