"""The rules of a consent."""

from datetime import date
from typing import Any

from domain.consent.aggregate import Consent, ConsentNotDue
from domain.consent.events import ConsentExpired, ConsentGiven, ConsentWithdrawn
from domain.values import Channel
from tests.domain.given import ID, SUBJECT, Given, fact

AGREED: dict[str, Any] = {"wording_version": "2", "source": "web form", "evidence": "Ticked box 2."}
LAST_DAY = date(2026, 3, 31)
GIVEN: dict[str, Any] = {**AGREED, "purpose": "newsletter", "channel": Channel.EMAIL, "expires_on": LAST_DAY}

given = Given(Consent).given(fact(ConsentGiven, **GIVEN))
withdrawn = given.given(fact(ConsentWithdrawn))


def test_a_consent_is_given_to_a_wording_with_its_evidence() -> None:
    Given(Consent).when_made(lambda: Consent.give_first(id=ID, subject_id=SUBJECT, **GIVEN)).then(
        fact(ConsentGiven, **GIVEN)
    )


def test_a_consent_given_again_has_its_own_evidence_and_end() -> None:
    for stands in (given, withdrawn):
        stands.when(lambda it: it.give(**AGREED)).then(
            fact(ConsentGiven, **AGREED, purpose="newsletter", channel=Channel.EMAIL)
        )
    again = withdrawn.given(
        fact(ConsentGiven, **AGREED, purpose="newsletter", channel=Channel.EMAIL)
    ).stands()
    assert (again.living, again.withdrawn, again.expires_on) == (True, False, None)


def test_a_consent_is_withdrawn_once() -> None:
    given.when(lambda it: it.withdraw()).then(fact(ConsentWithdrawn))
    withdrawn.when(lambda it: it.withdraw()).then()


def test_a_consent_expires_once_its_last_day_is_over() -> None:
    given.when(lambda it: it.expire(today=LAST_DAY)).refused(ConsentNotDue)
    given.when(lambda it: it.expire(today=date(2026, 4, 1))).then(fact(ConsentExpired))
    withdrawn.when(lambda it: it.expire(today=date(2026, 4, 1))).then()


def test_a_consent_without_a_last_day_never_expires() -> None:
    Given(Consent).given(fact(ConsentGiven, **GIVEN | {"expires_on": None})).when(
        lambda it: it.expire(today=date(2999, 1, 1))
    ).refused(ConsentNotDue)


def test_an_expired_consent_can_still_be_withdrawn() -> None:
    given.given(fact(ConsentExpired)).when(lambda it: it.withdraw()).then(fact(ConsentWithdrawn))
