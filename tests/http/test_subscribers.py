"""Subscribers over HTTP: registered, granted, revoked and ended, and what is told of them."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.http.samples import person
from tests.http.subscribing import SUBSCRIBERS, subscribing


def test_a_subscriber_is_told_of_with_grants_tokens_use_and_what_it_has_to_acknowledge(
    api: httpx.Client, created: Any
) -> None:
    with subscribing(api, "identity") as mirror:
        made = created("customers", person())
        erasure = api.post(f"/v1/subjects/{made['subject_id']}/erasure", json={"ground": "objection"}).json()
        before = mirror.shown(erasure["position"])
        assert (before["name"], before["purpose"], before["ended_at"]) == (mirror.name, "support", None)
        assert [(it["category"], it["purpose"]) for it in before["grants"]] == [("identity", "support")]
        assert [it["id"] for it in before["tokens"]] == [mirror.token_id]
        assert before["last_used_at"] is None
        assert before["unacknowledged"] == [erasure["id"]]
        other = created("customers", person())
        mirror.unseal(other["position"])
        done = mirror.client.post(f"/v1/erasures/{erasure['id']}/acknowledge", json={}).json()
        until = time.monotonic() + 30
        while (after := mirror.shown(done["position"]))["last_used_at"] is None:
            assert time.monotonic() < until
        assert after["unacknowledged"] == []
        assert mirror.token_id not in api.get(f"{SUBSCRIBERS}/{mirror.id}/timeline").text


def test_grants_revocations_and_the_end_are_history_with_actor_and_reason(api: httpx.Client) -> None:
    with subscribing(api) as mirror:
        mirror.command("grant", categories=["contact", "identity"], purpose="post", reason="Contract 7")
        mirror.command("revoke", categories=["contact"], reason="Not needed")
        mirror.command("end", reason="Replaced")
        entries = api.get(f"{SUBSCRIBERS}/{mirror.id}/timeline").json()["items"]
    assert [(it["type"], it["reason"]) for it in entries] == [
        ("subscriber.registered", None),
        ("subscriber.granted", "Contract 7"),
        ("subscriber.revoked", "Not needed"),
        ("subscriber.ended", "Replaced"),
    ]
    assert len({it["actor"] for it in entries}) == 1


def test_one_that_ended_has_no_token_and_no_grant_and_follows_no_more(api: httpx.Client) -> None:
    with subscribing(api, "identity") as mirror:
        assert mirror.client.get("/v1/events", params={"limit": 1}).status_code == 200
        ended = mirror.command("end")
        assert mirror.client.get("/v1/events", params={"limit": 1}).status_code == 401
        shown = mirror.shown(ended["position"])
        assert (shown["grants"], shown["tokens"], shown["ended_at"] is not None) == ([], [], True)
        refused = api.post(f"{SUBSCRIBERS}/{mirror.id}/tokens", json={})
        assert (refused.status_code, refused.json()["type"]) == (
            409,
            "urn:lethe:problem:subscriber-has-ended",
        )
        mirror.command("grant", 409, categories=["identity"])


def test_a_subscribers_token_may_end_by_itself(api: httpx.Client) -> None:
    with subscribing(api) as mirror:
        path = f"{SUBSCRIBERS}/{mirror.id}/tokens"
        past = api.post(path, json={"expires_at": "2020-01-01T00:00:00Z"})
        assert (past.status_code, past.json()["errors"][0]["field"]) == (422, "expires_at")
        later = datetime.now(UTC) + timedelta(days=1)
        made = api.post(path, json={"expires_at": later.isoformat()})
        assert made.headers["cache-control"] == "no-store"
        assert made.headers["location"] == f"/v1/tokens/{made.json()['id']}"
        tokens = {it["id"]: it["expires_at"] for it in mirror.shown(0)["tokens"]}
        assert datetime.fromisoformat(tokens[made.json()["id"]]) == later
        assert api.delete(made.headers["location"]).status_code == 204
        assert made.json()["id"] not in {it["id"] for it in mirror.shown(0)["tokens"]}


def test_subscribers_are_found_by_name_and_by_whether_they_live(api: httpx.Client) -> None:
    with subscribing(api) as mirror, subscribing(api) as gone:
        ended = gone.command("end")
        query = {"at_least": ended["position"], "limit": 200}

        def names(**more: Any) -> set[str]:
            found = api.get(SUBSCRIBERS, params=query | more).json()["items"]
            return {it["name"] for it in found}

        assert {mirror.name, gone.name} <= names()
        assert names(name=gone.name) == {gone.name}
        living = names(living=True)
        assert mirror.name in living
        assert gone.name not in living


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "Maya Brandt", "purpose": "support"}, "name"),
        ({"name": "mirror", "purpose": "Support!"}, "purpose"),
        ({"name": "mirror"}, "purpose"),
    ],
)
def test_a_name_and_a_purpose_are_codes(api: httpx.Client, body: dict[str, str], field: str) -> None:
    answer = api.post(SUBSCRIBERS, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_nobody_is_told_of_a_subscriber_that_there_is_not(api: httpx.Client) -> None:
    path = f"{SUBSCRIBERS}/{uuid4()}"
    assert api.get(path).status_code == 404
    assert api.post(f"{path}/grant", json={"categories": ["identity"]}).status_code == 404
    assert api.post(f"{path}/tokens", json={}).status_code == 404
    assert api.get(f"{path}/timeline").status_code == 404
