"""Personal values in handlers: as granted, as erased, as withheld; and the acknowledgement of an erasure."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from lethe_subscriber import Api, Erased, HttpFeed, KafkaTopics, SQLite, Subscriber, Withheld
from lethe_subscriber.events import CustomerRegistered, CustomerRenamed, SubjectErased
from lethe_subscriber.received import Received
from lethe_subscriber.sources import Source
from lethe_subscriber.unsealing import Unsealer

from tests.http.samples import person
from tests.http.stack import Running
from tests.http.subscribing import Subscribing, subscribing
from tests.subscriber.conftest import Topics
from tests.subscriber.listed import received

SECONDS_MAX = 60


@pytest.fixture
def mirror(api: httpx.Client) -> Iterator[Subscribing]:
    with subscribing(api, "identity", "conversation") as it:
        yield it


@pytest.fixture(params=["feed", pytest.param("kafka", marks=pytest.mark.broker)])
def source(request: pytest.FixtureRequest, server: Running, mirror: Subscribing) -> Source:
    """Events with the subscriber's own token."""
    if request.param == "feed":
        return HttpFeed(server.url, own_token(mirror))
    topics: Topics = request.getfixturevalue("topics")
    return KafkaTopics(topics.address, topics.namespace, group=mirror.name, api=api_of(server, mirror))


def own_token(mirror: Subscribing) -> str:
    return mirror.client.headers["authorization"].removeprefix("Bearer ")


def api_of(server: Running, mirror: Subscribing) -> Api:
    return Api(server.url, own_token(mirror))


def registered(api: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/customers", json=person(email="maya@example.com", reason="She asked", **more))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def erase(api: httpx.Client, subject_id: str) -> str:
    answer = api.post(f"/v1/subjects/{subject_id}/erasure", json={"ground": "consent_withdrawn"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def follow(subscriber: Subscriber[Any], done: Callable[[], bool]) -> None:
    """Run it until the condition holds after one of its events."""
    alarm = threading.Timer(SECONDS_MAX, subscriber.stop)
    alarm.start()
    while not done():
        subscriber.run(until_caught_up=True)
        assert alarm.is_alive(), "it did not come to that"
    alarm.cancel()


def test_values_are_opened_as_granted_and_stand_as_erased_or_withheld(
    api: httpx.Client, source: Source, mirror: Subscribing, tmp_path: Path
) -> None:
    gone, there = registered(api, name="Ada"), registered(api, name="Bea")
    erase(api, gone["subject_id"])
    seen: dict[UUID, CustomerRegistered] = {}
    subscriber = Subscriber(mirror.name, source, SQLite(tmp_path / "own.db"), unseal=True)

    @subscriber.on(CustomerRegistered)
    def note(event: CustomerRegistered, db: Any) -> None:
        seen[event.aggregate_id] = event

    follow(subscriber, lambda: {UUID(gone["id"]), UUID(there["id"])} <= seen.keys())
    one, two = seen[UUID(gone["id"])], seen[UUID(there["id"])]
    assert (one.name, one.email, one.reason) == (
        Erased("identity"),
        Erased("contact"),
        Erased("conversation"),
    )
    assert (two.name, two.email, two.reason) == ("Bea", Withheld("contact"), "She asked")
    assert two.phone is None
    assert "Bea" not in repr(two)
    assert "asked" not in repr(two.envelope)


def test_without_unseal_everything_personal_is_withheld_and_nothing_is_asked_for(
    api: httpx.Client, server: Running, tmp_path: Path, mirror: Subscribing
) -> None:
    made = registered(api)
    seen: dict[UUID, CustomerRegistered] = {}
    feed = HttpFeed(server.url, own_token(mirror))
    subscriber = Subscriber(mirror.name, feed, SQLite(tmp_path / "own.db"))
    subscriber.on(CustomerRegistered)(lambda event, db: seen.update({event.aggregate_id: event}))
    follow(subscriber, lambda: UUID(made["id"]) in seen)
    assert seen[UUID(made["id"])].name == Withheld("identity")
    assert mirror.shown(made["position"])["last_used_at"] is None


def test_an_erasure_that_is_handled_is_acknowledged_in_the_subscribers_name(
    api: httpx.Client, source: Source, mirror: Subscribing, tmp_path: Path
) -> None:
    made = registered(api)
    erasure = erase(api, made["subject_id"])
    seen: set[str] = set()
    subscriber = Subscriber(mirror.name, source, SQLite(tmp_path / "own.db"))
    subscriber.on(SubjectErased)(lambda event, db: seen.add(str(event.aggregate_id)))
    follow(subscriber, lambda: erasure in seen)
    assert until(lambda: acknowledged(api, erasure)) == [mirror.name]


def test_an_erasure_whose_handler_fails_is_acknowledged_only_once_it_succeeded(
    api: httpx.Client, server: Running, mirror: Subscribing, tmp_path: Path
) -> None:
    erasure = erase(api, registered(api)["subject_id"])
    broken = True
    feed = HttpFeed(server.url, own_token(mirror))
    subscriber = Subscriber(mirror.name, feed, SQLite(tmp_path / "own.db"))

    @subscriber.on(SubjectErased)
    def forget(event: SubjectErased, db: Any) -> None:
        if broken and str(event.aggregate_id) == erasure:
            raise ValueError

    subscriber.run(until_caught_up=True)
    assert mirror.shown(registered(api)["position"])["unacknowledged"] == [erasure]
    broken = False
    (letter,) = [it for it in subscriber.dead_letters() if it.cause == "failed"]
    subscriber.retry(letter.id)
    subscriber.run(until_caught_up=True)
    assert until(lambda: acknowledged(api, erasure)) == [mirror.name]


def test_what_is_parked_is_opened_anew_and_then_erased(
    api: httpx.Client, server: Running, mirror: Subscribing, tmp_path: Path
) -> None:
    made = registered(api, name="Ada")
    seen: list[object] = []
    feed = HttpFeed(server.url, own_token(mirror))
    subscriber = Subscriber(mirror.name, feed, SQLite(tmp_path / "own.db"), unseal=True)

    @subscriber.on(CustomerRegistered)
    def note(event: CustomerRegistered, db: Any) -> None:
        if str(event.aggregate_id) != made["id"]:
            return
        seen.append(event.name)
        if len(seen) == 1:
            raise ValueError(event.name)

    subscriber.run(until_caught_up=True)
    (letter,) = subscriber.dead_letters()
    assert b"Ada" not in (tmp_path / "own.db").read_bytes()
    erase(api, made["subject_id"])
    subscriber.run(until_caught_up=True)
    subscriber.retry(letter.id)
    assert seen == ["Ada", Erased("identity")]


def test_what_was_opened_is_remembered_for_a_moment_and_dropped_when_the_person_is_erased(
    api: httpx.Client, server: Running, mirror: Subscribing
) -> None:
    made = registered(api, name="Ada")
    answer = api.get("/v1/events", params={"after": made["position"] - 1, "limit": 1, "wait": 30})
    event = Received(answer.json()["items"][0])
    unsealer = Unsealer(api_of(server, mirror))
    assert unsealer.open([event])[event.position]["name"] == "Ada"
    erase(api, made["subject_id"])
    # Asked again within seconds, it is not opened again: which this shows, and the next line ends.
    assert unsealer.open([event])[event.position]["name"] == "Ada"
    unsealer.forget([received(type="subject.erased", erased_subject_id=made["subject_id"])])
    assert unsealer.open([event])[event.position]["name"] == Erased("identity")


def test_a_page_is_opened_in_one_request_and_only_what_is_handled(
    api: httpx.Client, server: Running, mirror: Subscribing, tmp_path: Path
) -> None:
    made = [registered(api, name=name) for name in ("Ada", "Bea", "Cleo")]
    api.post(f"/v1/customers/{made[0]['id']}/rename", json={"name": "Eda"}).raise_for_status()
    feed = HttpFeed(server.url, own_token(mirror), after=made[0]["position"] - 1)
    subscriber = Subscriber(mirror.name, feed, SQLite(tmp_path / "own.db"), unseal=True)
    names: list[object] = []
    subscriber.on(CustomerRenamed)(lambda event, db: names.append(event.name))
    subscriber.run(until_caught_up=True)
    assert names == ["Eda"]
    counts = until(lambda: [it["count"] for it in seen_by(api, mirror)])
    assert counts == [1]


def seen_by(api: httpx.Client, mirror: Subscribing) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/actors/{mirror.id}/accesses").json()["items"]
    return found


def acknowledged(api: httpx.Client, erasure: str) -> list[str]:
    found: list[str] = api.get(f"/v1/erasures/{erasure}").json()["acknowledged_by"]
    return found


def until(found: Callable[[], list[Any]]) -> list[Any]:
    """What is found, once there is something: views and notes follow a moment later."""
    deadline = time.monotonic() + SECONDS_MAX
    while not (it := found()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return it
