"""The rules of a webhook."""

from datetime import timedelta
from typing import Any

import pytest

from domain.webhook.aggregate import (
    PreviousSecretEnded,
    Webhook,
    WebhookFromNowhere,
    WebhookIsParked,
    WebhookIsRemoved,
    WebhookUrlUnfit,
)
from domain.webhook.events import (
    ParkCause,
    WebhookChanged,
    WebhookParked,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)
from tests.domain.given import ID, NOON, Given, fact

URL = "https://hooks.example.com/lethe"
webhook = Given(Webhook)
registered = fact(WebhookRegistered, url=URL, types=("lead",), description=None, after=None)
parked = fact(WebhookParked, cause=ParkCause.GAVE_UP)
removed = fact(WebhookRemoved)


def test_a_webhook_says_where_and_what_is_sent() -> None:
    made = webhook.when_made(lambda: Webhook.register(id=ID, url=URL, types=("lead",)))
    made.then(registered)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://hooks.example.com/?token=secret",
        "https://hooks.example.com/#secret",
        "https://hooks.example.com:443x/",
        "https://hooks.example.com\\@localhost/",
        "https://hooks.example.com/\n",
        "https:///path",
        "//hooks.example.com/",
        "https://hooks.example.com/" + "x" * 2000,
    ],
)
def test_an_address_holds_no_secret_and_no_trick(url: str) -> None:
    webhook.when_made(lambda: Webhook.register(id=ID, url=url, types=())).refused(WebhookUrlUnfit)
    webhook.given(registered).when(lambda it: it.change(url=url, types=())).refused(WebhookUrlUnfit)


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://a.example:8080/x", "https://[2001:db8::1]:8443/@x"]
)
def test_an_address_is_a_host_and_a_path(url: str) -> None:
    webhook.given(registered).when(lambda it: it.change(url=url, types=())).then(
        fact(WebhookChanged, url=url, types=(), description=None)
    )


def test_what_is_as_it_was_changes_nothing() -> None:
    webhook.given(registered).when(lambda it: it.change(url=URL, types=("lead",))).then()


def test_each_rotation_has_the_next_number() -> None:
    until = NOON + timedelta(hours=24)
    rotated = fact(WebhookSecretRotated, number=2, previous_until=until)
    again = fact(WebhookSecretRotated, number=3, previous_until=until)
    webhook.given(registered, rotated).when(lambda it: it.rotate(now=NOON, previous_until=until)).then(again)


def test_a_secret_does_not_end_before_it_is_rotated() -> None:
    past = NOON - timedelta(seconds=1)
    webhook.given(registered).when(lambda it: it.rotate(now=NOON, previous_until=past)).refused(
        PreviousSecretEnded
    )


def test_a_webhook_is_parked_once() -> None:
    park = webhook.given(registered).when(lambda it: it.park(cause=ParkCause.GAVE_UP))
    park.then(parked)
    webhook.given(registered, parked).when(lambda it: it.park(cause=ParkCause.GONE)).then()


@pytest.mark.parametrize("after", [None, 0, 4711])
def test_a_parked_webhook_is_resumed(after: int | None) -> None:
    resumed = webhook.given(registered, parked).when(lambda it: it.resume(after=after))
    resumed.then(fact(WebhookResumed, after=after))
    webhook.given(registered).when(lambda it: it.resume(after=after)).then()


def test_a_parked_webhook_is_resumed_not_replayed() -> None:
    webhook.given(registered).when(lambda it: it.replay(after=0)).then(fact(WebhookReplayed, after=0))
    webhook.given(registered, parked).when(lambda it: it.replay(after=0)).refused(WebhookIsParked)


def test_there_is_nothing_before_the_first_position() -> None:
    webhook.given(registered).when(lambda it: it.replay(after=-1)).refused(WebhookFromNowhere)
    webhook.given(registered, parked).when(lambda it: it.resume(after=-1)).refused(WebhookFromNowhere)


@pytest.mark.parametrize(
    "command",
    [
        lambda it: it.change(url=URL, types=()),
        lambda it: it.rotate(now=NOON, previous_until=NOON),
        lambda it: it.resume(),
        lambda it: it.replay(after=0),
    ],
)
def test_a_removed_webhook_stays_removed(command: Any) -> None:
    webhook.given(registered, removed).when(command).refused(WebhookIsRemoved)
    webhook.given(registered, removed).when(lambda it: it.remove()).then()
    webhook.given(registered, removed).when(lambda it: it.park(cause=ParkCause.GONE)).then()
