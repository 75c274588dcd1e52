"""The rules of a retention policy."""

from typing import Any

import pytest

from domain.model import Category, DomainError
from domain.retention.aggregate import (
    Retention,
    RetentionOfNoDays,
    RetentionWithoutReason,
    RetentionWithoutStart,
)
from domain.retention.events import RetentionSet, RetentionWithdrawn
from tests.domain.given import ID, Given, fact

OF: dict[str, Any] = {"kind": "ticket", "category": Category.CONVERSATION}
TERM: dict[str, Any] = {"days": 1095, "after": ("ticket.closed",), "legal_reason": "limitation of claims"}

kept = Given(Retention).given(fact(RetentionSet, **OF, **TERM))
withdrawn = kept.given(fact(RetentionWithdrawn))


def test_a_policy_is_set_for_a_kind_and_a_category() -> None:
    Given(Retention).when_made(lambda: Retention.set_first(id=ID, **OF, **TERM)).then(
        fact(RetentionSet, **OF, **TERM)
    )


def test_a_policy_is_set_anew_only_to_something_else() -> None:
    kept.when(lambda it: it.set(**TERM)).then()
    kept.when(lambda it: it.set(**TERM | {"days": 30})).then(fact(RetentionSet, **OF, **TERM | {"days": 30}))


def test_a_policy_is_withdrawn_once_and_may_be_set_again() -> None:
    kept.when(lambda it: it.withdraw()).then(fact(RetentionWithdrawn))
    withdrawn.when(lambda it: it.withdraw()).then()
    withdrawn.when(lambda it: it.set(**TERM)).then(fact(RetentionSet, **OF, **TERM))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"days": 0}, RetentionOfNoDays),
        ({"after": ()}, RetentionWithoutStart),
        ({"after": ("last_activity", "ticket.closed")}, RetentionWithoutStart),
        ({"legal_reason": " "}, RetentionWithoutReason),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(change: dict[str, Any], rule: type[DomainError]) -> None:
    kept.when(lambda it: it.set(**TERM | change)).refused(rule)
    Given(Retention).when_made(lambda: Retention.set_first(id=ID, **OF, **TERM | change)).refused(rule)
