"""Consents, the register of processing, and commands held to their purpose, over HTTP."""

from typing import Any

import httpx
import pytest

from tests.http.samples import activity, person

WORDING = {"wording_version": "2026-02", "source": "web form"}


def newsletter(**more: Any) -> dict[str, Any]:
    """A purpose that needs consent."""
    return activity(name="Newsletter", lawful_basis="consent", consent_needed=True, **more)


@pytest.fixture
def purpose(api: httpx.Client) -> str:
    """The code of an activity that needs consent."""
    says = newsletter()
    assert api.post("/v1/activities", json=says).status_code == 201
    return str(says["code"])


def test_a_command_for_a_purpose_is_held_to_the_persons_consent(
    api: httpx.Client, created: Any, purpose: str
) -> None:
    made = created("customers", person())
    headers = {"Lethe-Purpose": purpose}

    def note() -> httpx.Response:
        return api.post(f"/v1/customers/{made['id']}/write-note", json={"text": "Sent."}, headers=headers)

    refused = note()
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lethe:problem:no-lawful-basis")
    given = api.post(
        f"/v1/subjects/{made['subject_id']}/consents",
        json=WORDING | {"purpose": purpose, "channel": "email", "evidence": "Ticked box 2."},
    )
    assert given.status_code == 201, given.text
    assert note().status_code == 200
    query = {"at_least": given.json()["position"]}
    shown = api.get(given.headers["location"], params=query).json()
    assert (shown["state"], shown["evidence"], shown["channel"]) == ("given", "Ticked box 2.", "email")
    assert api.post(f"{given.headers['location']}/withdraw").status_code == 200
    assert note().status_code == 409


def test_a_mailing_asks_for_many_and_a_withdrawal_counts_at_once(
    api: httpx.Client, created: Any, purpose: str
) -> None:
    ann, bob = (created("customers", person())["subject_id"] for _ in range(2))
    given = api.post(
        f"/v1/subjects/{ann}/consents", json=WORDING | {"purpose": purpose, "expires_on": "2099-01-01"}
    )
    asked = {"purpose": purpose, "channel": "email", "subject_ids": [ann, bob, ann]}
    first = api.post("/v1/lawfulness", json=asked).json()["items"]
    api.post(f"{given.headers['location']}/withdraw")
    second = api.post("/v1/lawfulness", json=asked).json()["items"]
    assert [(it["subject_id"], it["allowed"], it["why"], it["until"]) for it in first] == [
        (ann, True, "consent", "2099-01-01"),
        (bob, False, "no_consent", None),
    ]
    assert [it["why"] for it in second] == ["withdrawn", "no_consent"]


def test_consents_are_listed_by_person(api: httpx.Client, created: Any, purpose: str) -> None:
    made = created("customers", person())
    for channel in ("email", "phone"):
        given = api.post(
            f"/v1/subjects/{made['subject_id']}/consents",
            json=WORDING | {"purpose": purpose, "channel": channel},
        )
    query = {"subject_id": made["subject_id"], "at_least": given.json()["position"]}
    items = api.get("/v1/consents", params=query).json()["items"]
    assert {it["channel"] for it in items} == {"email", "phone"}
    assert {it["purpose"] for it in items} == {purpose}


def test_an_unknown_purpose_is_malformed_and_a_retired_one_refused(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    says = activity()
    registered = api.post("/v1/activities", json=says)
    api.post(f"{registered.headers['location']}/retire")
    path = f"/v1/customers/{made['id']}/archive"
    unknown = api.post(path, headers={"Lethe-Purpose": "never-heard-of"})
    retired = api.post(path, headers={"Lethe-Purpose": says["code"]})
    assert (unknown.status_code, unknown.json()["type"]) == (422, "urn:lethe:problem:unknown-purpose")
    assert (retired.status_code, retired.json()["type"]) == (409, "urn:lethe:problem:purpose-retired")


def test_the_register_is_kept_changed_and_listed(api: httpx.Client) -> None:
    says = newsletter()
    made = api.post("/v1/activities", json=says)
    again = api.post("/v1/activities", json=says)
    assert again.status_code == 409
    changed = {name: it for name, it in says.items() if name != "code"} | {
        "third_countries": ["US"],
        "safeguards": "Standard clauses",
    }
    unsafe = api.post(f"{made.headers['location']}/change", json=changed | {"safeguards": None})
    assert unsafe.json()["type"] == "urn:lethe:problem:transfer-without-safeguards"
    done = api.post(f"{made.headers['location']}/change", json=changed).json()
    query = {"code": says["code"], "at_least": done["position"]}
    [row] = api.get("/v1/activities", params=query).json()["items"]
    assert (row["third_countries"], row["version"], row["retired_at"]) == (["US"], 2, None)
    one = api.get(made.headers["location"])
    assert (one.json(), one.headers["etag"]) == (row, '"2"')


def test_the_register_is_written_for_programs_and_for_people(api: httpx.Client) -> None:
    says = activity(name="Post <office>")
    made = api.post("/v1/activities", json=says).json()
    query = {"at_least": made["position"]}
    found = api.get("/v1/register", params=query).json()
    [entry] = [it for it in found["activities"] if it["code"] == says["code"]]
    assert (entry["name"], entry["lawful_basis"]) == ("Post <office>", "contract")
    assert {
        "event": "customer.registered",
        "field": "name",
        "sort": "personal",
        "category": "identity",
    }.items() <= next(
        it for it in found["fields"] if (it["event"], it["field"]) == ("customer.registered", "name")
    ).items()
    [contact] = [it for it in found["uses"] if it["category"] == "contact"]
    assert says["code"] in contact["purposes"]
    for form, title in (("markdown", "# Register of"), ("html", "<h1>Register of")):
        page = api.get("/v1/register", params=query | {"form": form})
        assert page.headers["content-type"] == f"text/{form}; charset=utf-8"
        assert title in page.text
        assert "Post &lt;office&gt;" in page.text
