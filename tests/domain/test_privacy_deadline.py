"""The time to answer: GDPR, article 12(3), counted by Regulation 1182/71."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.privacyrequest.deadline import due_on, ends_at, is_overdue, notice_due
from domain.privacyrequest.terms import Notice

days = st.dates(date(1990, 1, 1), date(2200, 12, 31))
extensions = st.integers(0, 2)


@pytest.mark.parametrize(
    ("received", "extended_by", "due"),
    [
        ("2026-03-05", 0, "2026-04-06"),  # from a Sunday to Monday, though that is Easter Monday
        ("2024-03-05", 0, "2024-04-05"),  # the example of the EDPB's Guidelines 01/2022
        ("2023-08-31", 0, "2023-10-02"),  # theirs too: 30 September, here a Saturday
        ("2026-01-31", 0, "2026-03-02"),  # 28 February 2026 is a Saturday
        ("2024-01-31", 0, "2024-02-29"),
        ("2027-01-29", 0, "2027-03-01"),  # 28 February 2027 is a Sunday
        ("2026-01-31", 2, "2026-04-30"),  # not two months after the first deadline
        ("2026-01-30", 1, "2026-03-30"),
        ("2025-12-15", 0, "2026-01-15"),
        ("2025-11-30", 2, "2026-03-02"),
        ("2026-01-30", 0, "2026-03-02"),
    ],
)
def test_it_is_due_on_the_same_date_of_a_later_month_or_on_the_next_working_day(
    received: str, extended_by: int, due: str
) -> None:
    assert due_on(date.fromisoformat(received), extended_by=extended_by) == date.fromisoformat(due)


@given(days, extensions)
def test_it_is_never_due_at_a_weekend(received: date, extended_by: int) -> None:
    assert due_on(received, extended_by=extended_by).weekday() < 5


@given(days, extensions)
def test_it_keeps_the_date_or_clips_it_and_moves_two_days_at_most(received: date, extended_by: int) -> None:
    due = due_on(received, extended_by=extended_by)
    year, month = divmod(received.year * 12 + received.month - 1 + 1 + extended_by, 12)
    last = monthrange(year, month + 1)[1]
    same = date(year, month + 1, min(received.day, last))
    assert timedelta(0) <= due - same <= timedelta(days=2)
    assert (due - same > timedelta(0)) is (same.weekday() >= 5)


@given(days, days, extensions)
def test_what_came_later_is_not_due_earlier(first: date, second: date, extended_by: int) -> None:
    first, second = sorted((first, second))
    assert due_on(first, extended_by=extended_by) <= due_on(second, extended_by=extended_by)


@given(days)
def test_a_longer_extension_is_due_later(received: date) -> None:
    dues = [due_on(received, extended_by=it) for it in range(3)]
    assert dues == sorted(set(dues))


@given(days)
def test_it_is_late_when_the_last_day_is_over_and_not_before(due: date) -> None:
    end = ends_at(due)
    assert not is_overdue(due, end - timedelta(microseconds=1))
    assert is_overdue(due, end)
    assert notice_due(due, end) is Notice.OVERDUE


@pytest.mark.parametrize(
    ("left", "notice"),
    [(8, None), (7, Notice.WEEK_LEFT), (3, Notice.WEEK_LEFT), (2, Notice.TWO_DAYS_LEFT),
     (0, Notice.TWO_DAYS_LEFT), (-1, Notice.OVERDUE)],
)  # fmt: skip
def test_the_most_urgent_notice_is_given(left: int, notice: Notice | None) -> None:
    due = date(2026, 3, 20)
    assert notice_due(due, datetime(2026, 3, 20, 23, 59, tzinfo=UTC) - timedelta(days=left)) is notice
