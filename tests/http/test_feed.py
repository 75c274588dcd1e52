"""The feed: what happened, as CloudEvents, in order, nothing personal in clear."""

import threading
import time
from typing import Any

import httpx
import pytest

from tests.http.samples import person


def test_events_come_in_order_and_go_on_where_the_last_answer_ended(api: httpx.Client, created: Any) -> None:
    made = [created("customers", person()) for _ in range(3)]
    after = made[0]["position"] - 1
    first = api.get("/v1/events", params={"after": after, "limit": 2}).json()
    rest = api.get("/v1/events", params={"after": first["next"]}).json()
    assert [it["position"] for it in first["items"] + rest["items"]] == [it["position"] for it in made]
    assert [it["subject"] for it in first["items"] + rest["items"]] == [it["id"] for it in made]
    end = api.get("/v1/events", params={"after": rest["next"]}).json()
    assert end == {"items": [], "next": rest["next"]}


def test_an_event_is_a_cloud_event_with_its_boxes_closed(api: httpx.Client, created: Any) -> None:
    made = created("customers", person(name="Quirin Unverkennbar", email="quirin@example.com"))
    answer = api.get("/v1/events", params={"after": made["position"] - 1, "limit": 1})
    (event,) = answer.json()["items"]
    assert event["specversion"] == "1.0"
    assert event["type"] == "customer.registered"
    assert event["source"] == "/lethe/main"
    assert event["aggregateversion"] == 1
    assert event["data"]["lawful_basis"] == "contract"
    assert {(it["category"], tuple(it["fields"])) for it in event["data"]["sealed"]} == {
        ("identity", ("name",)),
        ("contact", ("email",)),
    }
    assert "quirin" not in answer.text.lower()


def test_only_the_types_asked_for_come_and_the_position_goes_on(api: httpx.Client, created: Any) -> None:
    first = created("customers", person())
    lead = created("leads", {"source": "fair"})
    api.post(f"/v1/leads/{lead['id']}/contact")
    query = {"after": first["position"] - 1}
    leads = api.get("/v1/events", params=query | {"types": "lead"}).json()
    contacted = api.get("/v1/events", params=query | {"types": "lead.contacted,ticket.opened"}).json()
    none = api.get("/v1/events", params=query | {"types": "member"}).json()
    assert [it["type"] for it in leads["items"]] == ["lead.captured", "lead.contacted"]
    assert [it["type"] for it in contacted["items"]] == ["lead.contacted"]
    assert none["items"] == []
    assert none["next"] == leads["next"]


def test_a_long_poll_ends_with_the_next_event(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    later: list[dict[str, Any]] = []
    writer = threading.Timer(0.5, lambda: later.append(created("customers", person())))
    writer.start()
    started = time.monotonic()
    answer = api.get("/v1/events", params={"after": made["position"], "wait": 20}).json()
    took = time.monotonic() - started
    writer.join()
    assert [it["subject"] for it in answer["items"]] == [later[0]["id"]]
    assert took < 10


def test_a_long_poll_ends_when_its_time_is_up(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    answer = api.get("/v1/events", params={"after": made["position"], "wait": 0.2})
    assert answer.json() == {"items": [], "next": made["position"]}


@pytest.mark.parametrize(
    "query", [{"wait": 31}, {"limit": 0}, {"limit": 1001}, {"after": -1}, {"types": "A;"}]
)
def test_a_feed_that_makes_no_sense_is_refused(api: httpx.Client, query: dict[str, Any]) -> None:
    answer = api.get("/v1/events", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in query
