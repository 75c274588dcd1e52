"""Retention policies over HTTP."""

from typing import Any
from uuid import uuid4

import httpx

from tests.http.samples import ticket

POLICY = {
    "kind": "ticket",
    "category": "conversation",
    "days": 1,
    "after": ["ticket.closed"],
    "legal_reason": "Limitation of claims.",
}


def test_a_policy_is_set_withdrawn_and_keeps_its_history(api: httpx.Client) -> None:
    says = POLICY | {"kind": "privacyrequest", "after": ["last_activity"], "days": 30}
    made = api.post("/v1/retention", json=says)
    assert made.status_code == 201, made.text
    place = made.headers["location"]
    again = api.post("/v1/retention", json=says | {"days": 60})
    done = api.post(f"{place}/withdraw").json()
    assert again.json()["id"] == made.json()["id"]
    row = api.get(place, params={"at_least": done["position"]}).json()
    assert (row["days"], row["withdrawn_at"] is None) == (60, False)
    first, second = api.get(f"{place}/history").json()["items"][-2:]
    assert (first["days"], first["until"]) == (30, second["since"])
    assert (second["days"], second["until"]) == (60, row["withdrawn_at"])
    listed = api.get("/v1/retention", params={"kind": "privacyrequest", "living": True}).json()["items"]
    assert row["id"] not in {it["id"] for it in listed}
    assert api.get(f"/v1/retention/{uuid4()}/history").status_code == 404


def test_a_policy_that_could_never_apply_is_refused(api: httpx.Client) -> None:
    nothing = api.post("/v1/retention", json=POLICY | {"category": "financial"})
    start = api.post("/v1/retention", json=POLICY | {"after": ["lead.lost"]})
    unheard_of = api.post("/v1/retention", json=POLICY | {"kind": "erasure"})
    assert [it.status_code for it in (nothing, start, unheard_of)] == [409, 409, 422]
    assert nothing.json()["type"] == "urn:lethe:problem:nothing-to-retain"
    assert start.json()["type"] == "urn:lethe:problem:not-a-start"


def test_a_plan_tells_what_is_past_and_what_keeps_it(api: httpx.Client, created: Any) -> None:
    past = {"occurred_at": "2020-01-01T00:00:00Z"}
    opened = [created("tickets", ticket(**past)) for _ in range(3)]
    for it in opened:
        assert api.post(f"/v1/tickets/{it['id']}/close", json=past).status_code == 200
    subjects = sorted(it["subject_id"] for it in opened)
    hold = api.post("/v1/holds", json={"matter": "m", "subject_ids": subjects[:1]}).json()
    policy = api.post("/v1/retention", json=POLICY)
    query = {"at_least": policy.json()["position"], "limit": 1}
    try:
        found: dict[str, Any] = {}
        while True:
            page = api.get("/v1/retention/plan", params=query).json()
            found |= {it["subject_id"]: it for it in page["items"]}
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
    finally:
        api.post(f"{policy.headers['location']}/withdraw")
        api.post(f"/v1/holds/{hold['id']}/lift")
    assert [found[it]["due"] for it in subjects] == [False, True, True]
    assert [it["because"] for it in found[subjects[0]]["keeps"]] == ["held"]
    assert found[subjects[1]]["since"] == "2020-01-02T00:00:00Z"
