"""What retention policies say of one person: pure, whatever the log is kept in."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.catalogue import EVENTS
from domain.model import Category
from services.ports import NOTHING_STANDS, Standing
from services.retention import (
    TAKES_BACK,
    Because,
    Finding,
    Holding,
    Policies,
    Policy,
    findings,
    watched,
)

ANN = UUID(int=1)
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
TALK = Category.CONVERSATION


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def policies(*given: tuple[str, Category, int, str]) -> Policies:
    return {(kind, it): Policy(kind, it, days, tuple(after.split())) for kind, it, days, after in given}


def record(kind: str, last: float, **latest: tuple[int, float]) -> Holding:
    """A record whose last event was so many days ago; `ticket_closed=(7, 30)`: at position 7, 30 days ago."""
    places = {name.replace("_", ".", 1): (place, ago(days)) for name, (place, days) in latest.items()}
    return Holding(UUID(int=len(kind)), kind, ago(last), places)


def found(holdings: list[Holding], rules: Policies, standing: Standing = NOTHING_STANDS) -> list[Finding]:
    return findings(ANN, holdings, rules, standing, NOW)


def reasons(of: list[Finding]) -> list[Because]:
    [one] = of
    return [it.because for it in one.keeps]


CLOSED = policies(("ticket", TALK, 30, "ticket.closed"))


def test_what_every_record_is_past_goes() -> None:
    [one] = found(
        [record("ticket", 1, ticket_closed=(9, 40)), record("ticket", 1, ticket_closed=(8, 90))], CLOSED
    )
    assert one.due
    assert (one.category, one.since) == (TALK, ago(10))


@pytest.mark.parametrize(("days", "due"), [(29.99, False), (30, True)])
def test_the_days_are_counted_to_the_moment(days: float, due: bool) -> None:
    assert bool(found([record("ticket", days, ticket_closed=(9, days))], CLOSED)) is due


def test_one_record_that_still_needs_it_keeps_it_and_says_until_when() -> None:
    past, young = record("ticket", 40, ticket_closed=(9, 40)), record("ticket", 3, ticket_closed=(10, 3))
    [one] = found([past, young], CLOSED)
    assert not one.due
    assert [(it.because, it.until) for it in one.keeps] == [(Because.NOT_YET, ago(3) + timedelta(days=30))]


def test_a_record_in_work_or_taken_up_again_keeps_it() -> None:
    past = record("ticket", 40, ticket_closed=(9, 40))
    assert reasons(found([past, record("ticket", 400)], CLOSED)) == [Because.IN_WORK]
    reopened = record("ticket", 35, ticket_closed=(10, 40), ticket_reopened=(11, 35))
    assert reasons(found([past, reopened], CLOSED)) == [Because.IN_WORK]
    closed_again = record("ticket", 31, ticket_closed=(12, 31), ticket_reopened=(11, 35))
    assert reasons(found([past, closed_again], CLOSED)) == []


def test_a_record_of_a_kind_without_a_policy_keeps_it() -> None:
    past = record("ticket", 40, ticket_closed=(9, 40))
    assert reasons(found([past, record("customer", 900)], CLOSED)) == [Because.NO_POLICY]
    rules = {**CLOSED, **policies(("customer", TALK, 10, "customer.archived"))}
    assert reasons(found([past, record("customer", 900)], rules)) == [Because.IN_WORK]


def test_a_record_that_holds_nothing_of_the_category_keeps_nothing() -> None:
    rules = policies(("lead", Category.CONTACT, 30, "lead.lost"))
    assert reasons(found([record("lead", 40, lead_lost=(3, 40)), record("ticket", 1)], rules)) == []


def test_a_record_keeps_of_a_person_only_what_it_holds_of_them() -> None:
    rules = policies(("ticket", TALK, 30, "ticket.closed"), ("lead", Category.CONTACT, 30, "lead.lost"))
    past = [record("ticket", 40, ticket_closed=(9, 40)), record("lead", 40, lead_lost=(3, 40))]
    beside = Holding(UUID(int=8), "customer", ago(1), part=True)
    kept = {it.category: [keep.because for keep in it.keeps] for it in found([*past, beside], rules)}
    assert kept[Category.CONTACT] == [Because.NO_POLICY]
    hold = Holding(UUID(int=9), "hold", ago(1), part=True)
    assert reasons(found([past[0], beside, hold], CLOSED)) == [], "notes on the firm, the hold's own words"


def test_where_nothing_is_past_there_is_nothing_to_say() -> None:
    assert found([record("ticket", 40), record("customer", 900)], CLOSED) == []
    assert found([record("restriction", 900)], CLOSED) == []


def test_days_may_count_from_the_last_activity_or_from_the_latest_of_several_events() -> None:
    rules = policies(
        ("lead", TALK, 30, "lead.lost lead.disqualified lead.won"), ("ticket", TALK, 30, "last_activity")
    )
    lead = record("lead", 1, lead_disqualified=(3, 200), lead_lost=(5, 50))
    [one] = found([lead, record("ticket", 40)], rules)
    assert (one.due, one.since) == (True, ago(10))
    assert reasons(found([lead, record("ticket", 20)], rules)) == [Because.NOT_YET]


@pytest.mark.parametrize(
    ("standing", "reason"),
    [(Standing(held=True), Because.HELD), (Standing(restricted=True), Because.RESTRICTED)],
)
def test_a_hold_and_a_restriction_keep_everything(standing: Standing, reason: Because) -> None:
    assert reasons(found([record("ticket", 40, ticket_closed=(9, 40))], CLOSED, standing)) == [reason]


def test_what_is_erased_is_not_found_again() -> None:
    past: list[Any] = [record("ticket", 40, ticket_closed=(9, 40))]
    assert found(past, CLOSED, Standing(erased=True)) == []
    assert found(past, CLOSED, Standing(erased_categories=frozenset({TALK}))) == []


def test_what_takes_an_event_back_is_watched_too_and_all_of_it_is_in_the_catalogue() -> None:
    assert watched(CLOSED) == ["ticket.closed", "ticket.reopened"]
    assert watched(policies(("ticket", TALK, 30, "last_activity"))) == []
    assert {*TAKES_BACK, *(it for opposites in TAKES_BACK.values() for it in opposites)} <= EVENTS.keys()
