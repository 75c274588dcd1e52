"""The rules of a restriction."""

from domain.restriction.aggregate import Restriction, RestrictionHasOtherCause
from domain.restriction.events import RestrictionImposed, RestrictionLifted
from domain.values import RestrictionCause
from tests.domain.given import ID, SUBJECT, Given, fact

CONTESTED, CLAIMS = RestrictionCause.ACCURACY_CONTESTED, RestrictionCause.LEGAL_CLAIMS

restricted = Given(Restriction).given(fact(RestrictionImposed, cause=CONTESTED))
free = restricted.given(fact(RestrictionLifted))


def test_a_person_is_restricted_for_a_cause() -> None:
    Given(Restriction).when_made(
        lambda: Restriction.impose_first(id=ID, subject_id=SUBJECT, cause=CONTESTED)
    ).then(fact(RestrictionImposed, cause=CONTESTED))


def test_a_restriction_is_imposed_once_and_lifted_once() -> None:
    restricted.when(lambda it: it.impose(cause=CONTESTED)).then()
    restricted.when(lambda it: it.lift()).then(fact(RestrictionLifted))
    free.when(lambda it: it.lift()).then()


def test_a_person_is_not_restricted_for_two_causes_at_once() -> None:
    restricted.when(lambda it: it.impose(cause=CLAIMS)).refused(RestrictionHasOtherCause)


def test_a_person_is_restricted_again_by_the_same_fact() -> None:
    free.when(lambda it: it.impose(cause=CLAIMS)).then(fact(RestrictionImposed, cause=CLAIMS))
    again = free.given(fact(RestrictionImposed, cause=CLAIMS)).stands()
    assert (again.version, again.cause, again.subject_id) == (3, CLAIMS, SUBJECT)
