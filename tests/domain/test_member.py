"""The rules of a member of staff."""

from uuid import UUID

from domain.member.aggregate import Member, MemberHasLeft, MemberManagesThemself, MemberWithoutName
from domain.member.events import MemberLeft, MemberMoved, MemberRegistered
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
