"""The SLA clock: business hours, holidays, changes of the clocks, pauses."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.ticket.sla import (
    STANDARD,
    Calendar,
    Deadlines,
    Limit,
    Pause,
    Policy,
    deadlines,
    due,
    elapsed,
    is_breached,
)
from domain.values import Priority

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Calendar(
    "Europe/Berlin",
    {day: [(time(9), time(12)), (time(13), time(17))] for day in range(5)},
    frozenset({date(2026, 5, 1)}),
)
ALL_DAY = Calendar("Europe/Berlin", {day: [(time(0), time(0))] for day in range(7)})


def berlin(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=BERLIN)  # type: ignore[arg-type, misc]


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.parametrize(
    ("opened", "minutes", "expected"),
    [
        (berlin(2026, 3, 4, 10), 60, berlin(2026, 3, 4, 11)),
        (berlin(2026, 3, 4, 11, 30), 60, berlin(2026, 3, 4, 13, 30)),
        (berlin(2026, 3, 4, 9), 420, berlin(2026, 3, 4, 17)),
        (berlin(2026, 3, 4, 16, 30), 60, berlin(2026, 3, 5, 9, 30)),
        (berlin(2026, 3, 4, 20), 60, berlin(2026, 3, 5, 10)),
        (berlin(2026, 3, 4, 3), 60, berlin(2026, 3, 4, 10)),
        (berlin(2026, 3, 6, 16, 30), 60, berlin(2026, 3, 9, 9, 30)),
        (berlin(2026, 4, 30, 16, 30), 60, berlin(2026, 5, 4, 9, 30)),
    ],
    ids=[
        "within",
        "over lunch",
        "to the last minute",
        "over night",
        "evening",
        "early",
        "weekend",
        "holiday",
    ],
)
def test_business_time_counts_only_while_we_are_open(
    opened: datetime, minutes: int, expected: datetime
) -> None:
    assert due(opened, minutes, calendar=OFFICE) == expected


def test_whole_time_counts_day_and_night() -> None:
    assert due(berlin(2026, 3, 6, 16), 24 * 60) == berlin(2026, 3, 7, 16)


@pytest.mark.parametrize(
    ("day", "length"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
)
def test_a_day_is_as_long_as_the_clocks_make_it(day: date, length: int) -> None:
    start = datetime.combine(day, time(0), BERLIN)
    end = datetime.combine(day + timedelta(days=1), time(0), BERLIN)
    assert elapsed(start, end, calendar=ALL_DAY) == hours(length)


def test_office_hours_stay_where_they_are_when_the_clocks_change() -> None:
    friday, monday = berlin(2026, 3, 27, 16), berlin(2026, 3, 30, 10)
    assert elapsed(friday, monday, calendar=OFFICE) == hours(2)
    assert monday.astimezone(UTC).hour == 8


def test_a_skipped_closing_hour_counts_no_moment_twice() -> None:
    """On 29 March 2026 Berlin has no 02:30: by RFC 5545 it is 03:30, when the second span is open already."""
    night = Calendar("Europe/Berlin", {6: [(time(1), time(2, 30)), (time(3), time(4))]})
    assert elapsed(berlin(2026, 3, 29), berlin(2026, 3, 30), calendar=night) == hours(2)


def test_a_doubled_hour_closes_the_first_time() -> None:
    """On 25 October 2026 Berlin has 02:30 twice."""
    night = Calendar("Europe/Berlin", {6: [(time(1), time(2, 30))]})
    assert elapsed(berlin(2026, 10, 25), berlin(2026, 10, 26), calendar=night) == hours(1.5)


def test_a_pause_moves_what_is_due() -> None:
    pause: Pause = (berlin(2026, 3, 4, 10), berlin(2026, 3, 4, 14))
    assert due(berlin(2026, 3, 4, 9), 120, pauses=[pause]) == berlin(2026, 3, 4, 15)
    assert due(berlin(2026, 3, 4, 9), 120, calendar=OFFICE, pauses=[pause]) == berlin(2026, 3, 4, 15)


def test_pauses_that_overlap_count_once() -> None:
    first: Pause = (berlin(2026, 3, 4, 10), berlin(2026, 3, 4, 12))
    second: Pause = (berlin(2026, 3, 4, 11), berlin(2026, 3, 4, 13))
    assert elapsed(berlin(2026, 3, 4, 9), berlin(2026, 3, 4, 14), pauses=[second, first]) == hours(2)


def test_while_the_clock_stands_nothing_more_becomes_due() -> None:
    standing: Pause = (berlin(2026, 3, 4, 10), None)
    assert due(berlin(2026, 3, 4, 9), 60, pauses=[standing]) == berlin(2026, 3, 4, 10)
    assert due(berlin(2026, 3, 4, 9), 61, pauses=[standing]) is None
    assert due(berlin(2026, 3, 4, 9), 61, calendar=OFFICE, pauses=[standing]) is None
    assert elapsed(berlin(2026, 3, 4, 9), berlin(2027, 1, 1), pauses=[standing]) == hours(1)


def test_deadlines_follow_the_priority() -> None:
    opened = datetime(2026, 3, 6, 16, tzinfo=UTC)
    assert deadlines(STANDARD, priority=Priority.CRITICAL, opened_at=opened) == Deadlines(
        opened + timedelta(minutes=30), opened + hours(4)
    )
    assert deadlines(STANDARD, priority=Priority.LOW, opened_at=opened) == Deadlines(
        datetime(2026, 3, 9, 16, tzinfo=UTC), datetime(2026, 3, 13, 16, tzinfo=UTC)
    )


def test_a_policy_may_count_the_response_by_day_and_the_resolution_in_office_hours() -> None:
    policy = Policy(
        OFFICE, dict.fromkeys(Priority, Limit(60, business=False)), dict.fromkeys(Priority, Limit(60))
    )
    found = deadlines(policy, priority=Priority.LOW, opened_at=berlin(2026, 3, 7, 12))
    assert found == Deadlines(berlin(2026, 3, 7, 13), berlin(2026, 3, 9, 10))


def test_a_higher_priority_is_never_due_later() -> None:
    opened = datetime(2026, 3, 6, 16, tzinfo=UTC)
    found = [deadlines(STANDARD, priority=it, opened_at=opened) for it in Priority]
    assert sorted(found, key=lambda it: (it.first_response, it.resolution)) == found


@pytest.mark.parametrize(
    ("done", "now", "breached"), [(None, 12, False), (None, 13, True), (12, 20, False), (13, 20, True)]
)
def test_what_was_due_is_breached_once_it_is_late(done: int | None, now: int, breached: bool) -> None:
    noon = berlin(2026, 3, 4, 12)
    done_at = None if done is None else berlin(2026, 3, 4, done)
    assert is_breached(noon, done_at=done_at, now=berlin(2026, 3, 4, now)) is breached


def test_nothing_is_breached_while_the_clock_stands() -> None:
    assert not is_breached(None, done_at=None, now=berlin(2026, 3, 4, 12))


def test_a_calendar_without_hours_is_refused() -> None:
    with pytest.raises(ValueError, match="opening hours"):
        Calendar("UTC", {0: []})
    with pytest.raises(ValueError, match="close after they open"):
        Calendar("UTC", {0: [(time(9), time(8))]})


moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)).map(lambda it: it.replace(tzinfo=UTC))  # noqa: DTZ001
times = st.times().map(lambda it: it.replace(second=0, microsecond=0))
openings = st.lists(st.tuples(times, times).filter(lambda it: it[0] < it[1] or it[1] == time(0)), max_size=3)
calendars = st.none() | st.builds(
    Calendar,
    st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    st.dictionaries(st.integers(0, 6), openings, min_size=1).filter(lambda it: any(it.values())),
    st.frozensets(st.dates(date(2025, 1, 1), date(2027, 1, 1)), max_size=3),
)
pauses = st.lists(st.tuples(moments, moments).map(lambda it: (min(it), max(it))), max_size=4)


@given(moments, st.integers(1, 5000), calendars, pauses)
def test_when_it_is_due_exactly_the_minutes_have_elapsed(
    start: datetime, minutes: int, calendar: Calendar | None, pauses: list[Pause]
) -> None:
    found = due(start, minutes, calendar=calendar, pauses=pauses)
    assert found is not None
    assert elapsed(start, found, calendar=calendar, pauses=pauses) == timedelta(minutes=minutes)
    just_before = found - timedelta(microseconds=1)
    assert elapsed(start, just_before, calendar=calendar, pauses=pauses) < timedelta(minutes=minutes)


@given(st.tuples(moments, moments, moments).map(sorted), calendars, pauses)
def test_time_elapses_the_same_in_one_piece_or_two(
    three: list[datetime], calendar: Calendar | None, pauses: list[Pause]
) -> None:
    start, middle, end = three

    def ran(since: datetime, until: datetime) -> timedelta:
        return elapsed(since, until, calendar=calendar, pauses=pauses)

    assert ran(start, middle) + ran(middle, end) == ran(start, end)
    assert timedelta() <= ran(start, end) <= end - start


@given(moments, st.integers(1, 5000), calendars, pauses, st.tuples(moments, moments))
def test_another_pause_never_makes_anything_due_sooner(
    start: datetime, minutes: int, calendar: Calendar | None, pauses: list[Pause], more: Pause
) -> None:
    since, until = more
    assume(until is not None and since <= until)
    sooner = due(start, minutes, calendar=calendar, pauses=pauses)
    later = due(start, minutes, calendar=calendar, pauses=[*pauses, more])
    assert sooner is not None
    assert later is not None
    assert sooner <= later
    standing = due(start, minutes, calendar=calendar, pauses=[*pauses, (since, None)])
    assert standing == (sooner if sooner <= since else None)


@given(moments, moments, pauses)
def test_a_calendar_that_is_always_open_is_whole_time(
    start: datetime, end: datetime, pauses: list[Pause]
) -> None:
    assert elapsed(start, end, calendar=ALL_DAY, pauses=pauses) == elapsed(start, end, pauses=pauses)
