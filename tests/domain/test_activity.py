"""The rules of a processing activity."""

from typing import Any

from domain.activity.aggregate import (
    Activity,
    ActivityAlreadyRegistered,
    ActivityIsRetired,
    ConsentIsTheBasis,
    TransferWithoutSafeguards,
)
from domain.activity.events import ActivityChanged, ActivityRegistered, ActivityRetired
from domain.model import Category
from domain.values import LawfulBasis, SubjectKind
from tests.domain.given import ID, Given, fact

SAYS: dict[str, Any] = {
    "name": "Newsletter",
    "description": "Monthly news by e-mail.",
    "lawful_basis": LawfulBasis.CONSENT,
    "consent_needed": True,
    "categories": (Category.CONTACT,),
    "subject_kinds": (SubjectKind.CUSTOMERS,),
}
CONTRACT = SAYS | {"lawful_basis": LawfulBasis.CONTRACT, "consent_needed": False}

registered = Given(Activity).given(fact(ActivityRegistered, code="newsletter", **SAYS))
retired = registered.given(fact(ActivityRetired))


def test_an_activity_is_registered_under_its_code() -> None:
    Given(Activity).when_made(lambda: Activity.register_first(id=ID, code="newsletter", **SAYS)).then(
        fact(ActivityRegistered, code="newsletter", **SAYS)
    )


def test_an_activity_is_registered_once_and_again_only_after_it_was_retired() -> None:
    registered.when(lambda it: it.register(**SAYS)).refused(ActivityAlreadyRegistered)
    retired.when(lambda it: it.register(**CONTRACT)).then(
        fact(ActivityRegistered, code="newsletter", **CONTRACT)
    )


def test_an_activity_is_changed_only_into_something_else() -> None:
    registered.when(lambda it: it.change(**CONTRACT)).then(fact(ActivityChanged, **CONTRACT))
    registered.when(lambda it: it.change(**SAYS)).then()


def test_a_change_says_all_of_the_entry_and_leaves_out_what_is_not_said_any_more() -> None:
    told = Given(Activity).given(fact(ActivityRegistered, code="news", **SAYS, recipients=("a house",)))
    told.when(lambda it: it.change(**SAYS)).then(fact(ActivityChanged, **SAYS))


def test_a_retired_activity_is_retired_once_and_not_changed() -> None:
    registered.when(lambda it: it.retire()).then(fact(ActivityRetired))
    retired.when(lambda it: it.retire()).then()
    retired.when(lambda it: it.change(**CONTRACT)).refused(ActivityIsRetired)


def test_what_rests_on_consent_needs_consent() -> None:
    says = SAYS | {"consent_needed": False}
    Given(Activity).when_made(lambda: Activity.register_first(id=ID, code="x", **says)).refused(
        ConsentIsTheBasis
    )
    registered.when(lambda it: it.change(**says)).refused(ConsentIsTheBasis)


def test_a_transfer_to_a_third_country_is_safeguarded() -> None:
    says = SAYS | {"third_countries": ("US",)}
    registered.when(lambda it: it.change(**says)).refused(TransferWithoutSafeguards)
    registered.when(lambda it: it.change(**says, safeguards="SCC 2021")).then(
        fact(ActivityChanged, **says, safeguards="SCC 2021")
    )
