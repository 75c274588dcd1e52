"""The rules of a subscriber."""

from typing import Any

import pytest

from domain.model import Category
from domain.subscriber.aggregate import (
    PurposeIsNoCode,
    Subscriber,
    SubscriberAlreadyRegistered,
    SubscriberHasEnded,
    SubscriberNameIsNoCode,
)
from domain.subscriber.events import (
    SubscriberEnded,
    SubscriberGranted,
    SubscriberRegistered,
    SubscriberRevoked,
)
from tests.domain.given import ID, Given, fact

IDENTITY, CONTACT, TALK = Category.IDENTITY, Category.CONTACT, Category.CONVERSATION
BOTH = (IDENTITY, CONTACT)

registered = Given(Subscriber).given(fact(SubscriberRegistered, name="mirror", purpose="support"))
granted = registered.given(fact(SubscriberGranted, categories=BOTH, purpose="support"))
ended = granted.given(fact(SubscriberEnded))


def made(**says: Any) -> Any:
    given = {"name": "mirror", "purpose": "support"} | says
    return Given(Subscriber).when_made(lambda: Subscriber.register_first(id=ID, **given))


def test_a_subscriber_is_registered_with_a_purpose_and_opens_nothing_yet() -> None:
    made().then(fact(SubscriberRegistered, name="mirror", purpose="support"))
    assert registered.stands().grants == {}
    assert registered.stands().subject_id == ID


@pytest.mark.parametrize("name", ["", "Mirror", "-mirror", "a b", "x" * 41, "mirror\n", "ä"])
def test_a_name_is_a_code(name: str) -> None:
    made(name=name).refused(SubscriberNameIsNoCode)


@pytest.mark.parametrize("purpose", ["", "1st", "News letter", "x" * 41])
def test_a_purpose_is_a_code(purpose: str) -> None:
    made(purpose=purpose).refused(PurposeIsNoCode)
    registered.when(lambda it: it.grant(categories=BOTH, purpose=purpose or " ")).refused(PurposeIsNoCode)


def test_a_name_is_given_once() -> None:
    registered.when(lambda it: it.register()).refused(SubscriberAlreadyRegistered)
    ended.when(lambda it: it.register()).refused(SubscriberHasEnded)


def test_categories_are_granted_for_a_purpose_or_for_the_subscribers_own() -> None:
    registered.when(lambda it: it.grant(categories={CONTACT, IDENTITY}, purpose="post")).then(
        fact(SubscriberGranted, categories=BOTH, purpose="post")
    )
    registered.when(lambda it: it.grant(categories=[TALK])).then(
        fact(SubscriberGranted, categories=(TALK,), purpose="support")
    )


def test_only_what_is_new_is_granted() -> None:
    granted.when(lambda it: it.grant(categories=BOTH)).then()
    granted.when(lambda it: it.grant(categories=[CONTACT, TALK])).then(
        fact(SubscriberGranted, categories=(TALK,), purpose="support")
    )


def test_a_grant_for_another_purpose_takes_the_place_of_the_one_before() -> None:
    other = fact(SubscriberGranted, categories=(CONTACT,), purpose="post")
    granted.when(lambda it: it.grant(categories=[CONTACT], purpose="post")).then(other)
    assert granted.given(other).stands().grants == {IDENTITY: "support", CONTACT: "post"}


def test_only_what_is_granted_is_revoked() -> None:
    granted.when(lambda it: it.revoke(categories=[TALK, CONTACT])).then(
        fact(SubscriberRevoked, categories=(CONTACT,))
    )
    granted.when(lambda it: it.revoke(categories=[TALK])).then()


def test_everything_is_revoked_where_no_category_is_named() -> None:
    granted.when(lambda it: it.revoke()).then(fact(SubscriberRevoked, categories=BOTH))
    assert granted.given(fact(SubscriberRevoked, categories=BOTH)).stands().grants == {}


def test_one_that_ended_opens_nothing_and_is_granted_nothing() -> None:
    granted.when(lambda it: it.end()).then(fact(SubscriberEnded))
    ended.when(lambda it: it.end()).then()
    ended.when(lambda it: it.revoke()).then()
    ended.when(lambda it: it.grant(categories=BOTH)).refused(SubscriberHasEnded)
    assert ended.stands().grants == {}
