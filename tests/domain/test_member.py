"""The rules of a member of staff."""

from datetime import date
from typing import Any
from uuid import UUID

from domain.member.aggregate import (
    ExpiresBeforeItBegins,
    Member,
    MemberHasLeft,
    MemberManagesThemself,
    MemberWithoutName,
)
from domain.member.events import (
    MemberAcknowledged,
    MemberLeft,
    MemberMoved,
    MemberRegistered,
    MemberTrained,
)
from tests.domain.given import ID, SUBJECT, Given, fact

BOSS = UUID(int=9)

member = Given(Member).given(fact(MemberRegistered, name="Ada", team="east", office="York", manager_id=BOSS))
gone = member.given(fact(MemberLeft))


def test_a_member_is_registered_with_team_office_and_manager() -> None:
    Given(Member).when_made(
        lambda: Member.register(id=ID, subject_id=SUBJECT, name="Ada", team="east", manager_id=BOSS)
    ).then(fact(MemberRegistered, name="Ada", team="east", manager_id=BOSS))


def test_a_member_is_held_by_name() -> None:
    Given(Member).when_made(lambda: Member.register(id=ID, subject_id=SUBJECT, name=" ")).refused(
        MemberWithoutName
    )


def test_nobody_manages_themself() -> None:
    Given(Member).when_made(
        lambda: Member.register(id=ID, subject_id=SUBJECT, name="Ada", manager_id=ID)
    ).refused(MemberManagesThemself)
    member.when(lambda it: it.move(team="east", manager_id=ID)).refused(MemberManagesThemself)


def test_a_member_moves_only_elsewhere() -> None:
    member.when(lambda it: it.move(team="west")).then(fact(MemberMoved, team="west"))
    member.when(lambda it: it.move(team="east", office="York", manager_id=BOSS)).then()
    moved = member.given(fact(MemberMoved, team="west"))
    moved.when(lambda it: it.move(team="west")).then()
    moved.when(lambda it: it.move(team="east", office="York", manager_id=BOSS)).then(
        fact(MemberMoved, team="east", office="York", manager_id=BOSS)
    )


def test_a_member_leaves_once_and_is_not_moved_any_more() -> None:
    member.when(lambda it: it.leave()).then(fact(MemberLeft))
    gone.when(lambda it: it.leave()).then()
    gone.when(lambda it: it.move(team="west")).refused(MemberHasLeft)


TAKEN: dict[str, Any] = {
    "course": "privacy",
    "version": "1",
    "on": date(2026, 3, 2),
    "expires_on": date(2027, 3, 2),
}
READ: dict[str, Any] = {"policy": "devices", "version": "4", "on": date(2026, 3, 2), "expires_on": None}


def test_a_course_is_recorded_once_and_again_when_it_is_taken_again() -> None:
    member.when(lambda it: it.train(**TAKEN)).then(fact(MemberTrained, **TAKEN))
    trained = member.given(fact(MemberTrained, **TAKEN))
    trained.when(lambda it: it.train(**TAKEN)).then()
    again = TAKEN | {"on": date(2027, 3, 1), "expires_on": None}
    trained.when(lambda it: it.train(**again)).then(fact(MemberTrained, **again))


def test_a_policy_is_acknowledged_version_by_version() -> None:
    member.when(lambda it: it.acknowledge(**READ)).then(fact(MemberAcknowledged, **READ))
    known = member.given(fact(MemberAcknowledged, **READ))
    known.when(lambda it: it.acknowledge(**READ)).then()
    known.when(lambda it: it.acknowledge(**READ | {"version": "5"})).then(
        fact(MemberAcknowledged, **READ | {"version": "5"})
    )


def test_nothing_expires_before_it_begins_and_who_left_learns_nothing_here() -> None:
    before = {"expires_on": date(2026, 3, 1)}
    member.when(lambda it: it.train(**TAKEN | before)).refused(ExpiresBeforeItBegins)
    member.when(lambda it: it.acknowledge(**READ | before)).refused(ExpiresBeforeItBegins)
    gone.when(lambda it: it.train(**TAKEN)).refused(MemberHasLeft)
    gone.when(lambda it: it.acknowledge(**READ)).refused(MemberHasLeft)
