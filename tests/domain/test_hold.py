"""The rules of a legal hold."""

from uuid import UUID

from domain.hold.aggregate import (
    Hold,
    HoldIsLifted,
    HoldWithoutMatter,
    SubjectNotCovered,
    SubjectWasReleased,
)
from domain.hold.events import HoldLifted, HoldPlaced, SubjectCovered, SubjectReleased
from tests.domain.given import ID, Given, fact

ANN, BOB, EVE = UUID(int=11), UUID(int=12), UUID(int=13)


placed = Given(Hold).given(fact(HoldPlaced, matter="2026-114"))
covering = placed.given(
    fact(SubjectCovered, covered_subject_id=BOB), fact(SubjectCovered, covered_subject_id=ANN)
)
lifted = covering.given(
    fact(SubjectReleased, covered_subject_id=ANN),
    fact(SubjectReleased, covered_subject_id=BOB),
    fact(HoldLifted),
)


def test_a_hold_is_placed_on_a_matter_and_is_its_own_subject() -> None:
    made = Given(Hold).when_made(lambda: Hold.place(id=ID, matter="2026-114", description="A claim."))
    made.then(fact(HoldPlaced, matter="2026-114", description="A claim."))
    assert made.events[0].record_subject == ID


def test_a_hold_names_its_matter() -> None:
    Given(Hold).when_made(lambda: Hold.place(id=ID, matter=" ")).refused(HoldWithoutMatter)


def test_a_hold_covers_each_person_once() -> None:
    covering.when(lambda it: it.cover(subject_ids=[ANN, EVE, EVE])).then(
        fact(SubjectCovered, covered_subject_id=EVE)
    )


def test_a_person_is_released_once_and_only_if_covered() -> None:
    freed = covering.given(fact(SubjectReleased, covered_subject_id=ANN))
    covering.when(lambda it: it.release(subject_ids=[ANN])).then(
        fact(SubjectReleased, covered_subject_id=ANN)
    )
    freed.when(lambda it: it.release(subject_ids=[ANN])).then()
    covering.when(lambda it: it.release(subject_ids=[ANN, EVE])).refused(SubjectNotCovered)


def test_who_was_released_is_not_covered_again_by_the_same_hold() -> None:
    freed = covering.given(fact(SubjectReleased, covered_subject_id=ANN))
    freed.when(lambda it: it.cover(subject_ids=[EVE, ANN])).refused(SubjectWasReleased)


def test_lifting_releases_everybody() -> None:
    covering.when(lambda it: it.lift()).then(
        fact(SubjectReleased, covered_subject_id=ANN),
        fact(SubjectReleased, covered_subject_id=BOB),
        fact(HoldLifted),
    )


def test_a_lifted_hold_is_lifted_once_and_covers_nobody_any_more() -> None:
    lifted.when(lambda it: it.lift()).then()
    lifted.when(lambda it: it.cover(subject_ids=[EVE])).refused(HoldIsLifted)
