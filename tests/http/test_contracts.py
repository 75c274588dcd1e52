"""The contracts as they are served: to anybody, and true of what the feed of the same server hands out."""

from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.http.samples import organisation, person, ticket
from tests.http.stack import Running


@pytest.fixture(scope="module")
def anybody(server: Running) -> Any:
    with httpx.Client(base_url=server.url) as client:
        yield client


def test_the_asyncapi_document_names_the_topics_of_this_system(anybody: httpx.Client) -> None:
    answer = anybody.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]["leads"]["address"] == "main.leads"


def test_every_schema_that_is_listed_is_served(anybody: httpx.Client) -> None:
    listed = anybody.get("/v1/schemas").json()["items"]
    versions = {(it["type"], it["version"]): it["current"] for it in listed}
    assert versions["erasure.requested", 1] is False
    assert versions["erasure.requested", 2] is True
    for it in listed:
        answer = anybody.get(it["url"])
        assert answer.headers["content-type"] == "application/schema+json"
        assert answer.json()["$id"] == it["dataschema"]


@pytest.mark.parametrize(
    ("place", "status"), [("lead.won/99", 404), ("lead.lent/1", 404), ("lead.won/0", 422)]
)
def test_a_schema_that_there_is_not_is_not_served(anybody: httpx.Client, place: str, status: int) -> None:
    answer = anybody.get(f"/v1/schemas/{place}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def events_until(api: httpx.Client, type: str, *, after: int) -> list[dict[str, Any]]:
    """The events after the position, up to the first of the type."""
    items: list[dict[str, Any]] = []
    while type not in {it["type"] for it in items}:
        page = api.get("/v1/events", params={"after": after, "limit": 1000, "wait": 30}).json()
        assert page["items"], f"no {type} in 30 s"
        items, after = items + page["items"], page["next"]
    return items


def test_what_the_feed_hands_out_is_as_the_schema_says_that_it_names(
    api: httpx.Client, anybody: httpx.Client, created: Any
) -> None:
    customer = created("customers", person(reason="called in", email="maya@example.com"))
    created("customers", organisation())
    lead = created("leads", {"source": "fair", "name": "Maya Brandt"})
    for verb, body in (
        ("qualify", {"value": {"amount": "900", "currency": "EUR"}}),
        ("lose", {"cause": "price"}),
    ):
        assert api.post(f"/v1/leads/{lead['id']}/{verb}", json=body).status_code == 200
    created("tickets", ticket())
    assert api.post(f"/v1/subjects/{customer['subject_id']}/erasure", json={"ground": "objection"}).is_success
    items = events_until(api, "subject.erased", after=customer["position"] - 1)
    assert {"customer.registered", "lead.qualified", "ticket.opened"} <= {it["type"] for it in items}
    for it in items:
        _, _, _, type, version = it["dataschema"].split(":")
        Draft202012Validator(anybody.get(f"/v1/schemas/{type}/{version}").json()).validate(it["data"])
