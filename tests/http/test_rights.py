"""Restrictions and legal holds over HTTP, and what they do to every other door."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from domain.restriction.aggregate import Restriction
from domain.values import RestrictionCause
from services.ports import CommandContext
from services.restrictions import restriction_of
from tests.http.samples import person
from tests.http.stack import Running

CONTESTED = {"cause": "accuracy_contested"}


def act(api: httpx.Client, path: str, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    answer = api.post(path, json=body or {}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    done: dict[str, Any] = answer.json()
    return done


def test_a_restricted_persons_data_is_added_to_on_a_ground_only(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    path = f"/v1/subjects/{made['subject_id']}/restriction"
    done = act(api, path, CONTESTED | {"reason": "Her letter of May"})
    note = f"/v1/customers/{made['id']}/write-note"
    refused = api.post(note, json={"text": "Called."})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lethe:problem:processing-restricted")
    act(api, note, {"text": "Called."}, **{"Lethe-Ground": "legal_claims"})
    subject = api.get(f"/v1/subjects/{made['subject_id']}").json()
    assert (subject["restricted"], subject["held"]) == (True, False)
    listed = api.get(
        "/v1/restrictions", params={"at_least": done["position"], "standing": True, "limit": 200}
    )
    [row] = [it for it in listed.json()["items"] if it["id"] == done["id"]]
    assert (row["subject_id"], row["cause"], row["lifted_at"]) == (
        made["subject_id"],
        "accuracy_contested",
        None,
    )
    lifted = act(api, f"{path}/lift")
    act(api, note, {"text": "All right now."})
    told: list[dict[str, Any]] = []
    query = {"types": "restriction.imposed,restriction.lifted", "after": made["position"], "wait": 30}
    while query["after"] < lifted["position"]:
        page = api.get("/v1/events", params=query).json()
        told += [it for it in page["items"] if it["subject"] == done["id"]]
        query["after"] = page["next"]
    assert [it["type"] for it in told] == ["restriction.imposed", "restriction.lifted"], "subscribers know"
    assert told[-1]["position"] == lifted["position"]


def test_a_mark_that_a_crash_left_out_is_set_by_whoever_follows_the_log(
    server: Running, api: httpx.Client, created: Any
) -> None:
    made = created("customers", person())
    subject_id = UUID(made["subject_id"])
    context = CommandContext(uuid4(), b"", "tester", datetime.now(UTC), uuid4())

    def imposed() -> Restriction:
        cause = RestrictionCause.UNLAWFUL
        return Restriction.impose_first(id=restriction_of(subject_id), subject_id=subject_id, cause=cause)

    server.call(server.system.application.create(imposed, context=context))
    until = time.monotonic() + 20
    while not api.get(f"/v1/subjects/{subject_id}").json()["restricted"]:
        assert time.monotonic() < until, "nobody set the mark"
        time.sleep(0.1)


def test_who_is_unknown_is_neither_restricted_nor_held(api: httpx.Client) -> None:
    nobody = str(uuid4())
    assert api.post(f"/v1/subjects/{nobody}/restriction", json=CONTESTED).status_code == 404
    assert api.post(f"/v1/subjects/{nobody}/restriction/lift").status_code == 404
    assert api.post("/v1/holds", json={"matter": "m", "subject_ids": [nobody]}).status_code == 404
    assert api.get(f"/v1/holds/{nobody}").status_code == 404


def test_a_hold_keeps_an_erasure_waiting_until_it_is_lifted(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    subject_id = made["subject_id"]
    hold = act(
        api, "/v1/holds", {"matter": "2026-114", "description": "Ann's claim", "subject_ids": [subject_id]}
    )
    shown = api.get(f"/v1/holds/{hold['id']}", params={"at_least": hold["position"]}).json()
    assert (shown["covered"], shown["description"], shown["lifted_at"]) == ([subject_id], "Ann's claim", None)
    path, ground = f"/v1/subjects/{subject_id}/erasure", {"ground": "objection"}
    refused = api.post(path, json=ground)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lethe:problem:subject-is-held")
    assert api.post(path, json=ground | {"when_held": "queue"}).status_code == 202
    subject = api.get(f"/v1/subjects/{subject_id}").json()
    assert (subject["erased"], subject["held"]) == (False, True)
    assert [it["id"] for it in subject["holds"]] == [hold["id"]]
    act(api, f"/v1/holds/{hold['id']}/lift")
    until = time.monotonic() + 20
    while not api.get(f"/v1/subjects/{subject_id}").json()["erased"]:
        assert time.monotonic() < until, "the erasure that waited was not carried out"
        time.sleep(0.2)


def test_an_erased_person_cannot_be_held(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    hold = act(api, "/v1/holds", {"matter": "m"})
    act(api, f"/v1/subjects/{made['subject_id']}/erasure", {"ground": "objection"})
    answer = api.post(f"/v1/holds/{hold['id']}/cover", json={"subject_ids": [made["subject_id"]]})
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:lethe:problem:subject-is-erased")


def test_a_hold_covers_and_releases(api: httpx.Client, created: Any) -> None:
    ann, bob = (created("customers", person())["subject_id"] for _ in range(2))
    hold = act(api, "/v1/holds", {"matter": "m"})
    act(api, f"/v1/holds/{hold['id']}/cover", {"subject_ids": [ann, bob]}, **{"If-Match": '"1"'})
    done = act(api, f"/v1/holds/{hold['id']}/release", {"subject_ids": [ann]})
    [row] = api.get("/v1/holds", params={"covers": bob, "at_least": done["position"]}).json()["items"]
    assert (row["covered"], row["released"], row["version"]) == ([bob], [ann], 4)
    stale = api.post(f"/v1/holds/{hold['id']}/lift", headers={"If-Match": '"1"'})
    assert stale.status_code == 412


def test_whose_training_has_expired_is_listed(api: httpx.Client, created: Any) -> None:
    made = created("members", {"name": "Amina Keller"})
    path = f"/v1/members/{made['id']}"
    term = {"version": "1", "on": "2020-01-01", "expires_on": "2020-12-31"}
    act(api, f"{path}/train", {"course": "privacy-basics"} | term)
    done = act(api, f"{path}/acknowledge", {"policy": "devices", "version": "4", "on": "2026-01-01"})
    query = {"at_least": done["position"], "present": True, "limit": 200}
    for day, expected in (("2020-12-31", False), ("2021-01-01", True)):
        items = api.get("/v1/credentials", params=query | {"over_on": day}).json()["items"]
        assert (made["id"] in {it["id"] for it in items}) is expected
    [row] = [it for it in items if it["id"] == made["id"]]
    assert (row["expires_first"], len(row["credentials"])) == ("2020-12-31", 2)
    backwards = api.post(f"{path}/train", json={"course": "x"} | term | {"on": "2021-01-01"})
    assert backwards.json()["type"] == "urn:lethe:problem:expires-before-it-begins"
