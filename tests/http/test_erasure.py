"""Erasing a person over HTTP, and what every read shows afterwards."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.http.samples import organisation, person, ticket

GROUND = {"ground": "consent_withdrawn"}


@pytest.fixture
def erase(api: httpx.Client) -> Any:
    def erasing(subject_id: str, **headers: str) -> dict[str, Any]:
        answer = api.post(f"/v1/subjects/{subject_id}/erasure", json=GROUND, headers=headers)
        assert answer.status_code == 201, answer.text
        done: dict[str, Any] = answer.json() | {"location": answer.headers["location"]}
        return done

    return erasing


def test_an_erased_persons_records_are_gone_and_point_to_their_history(
    api: httpx.Client, created: Any, erase: Any
) -> None:
    made = created("customers", person())
    records = {
        "customers": made,
        "leads": created("leads", {"source": "fair", "customer_id": made["id"], "note": "Called."}),
        "tickets": created("tickets", ticket(customer_id=made["id"])),
    }
    done = erase(made["subject_id"])
    for kind, record in records.items():
        answer = api.get(f"/v1/{kind}/{record['id']}", params={"at_least": done["position"]})
        assert answer.status_code == 410
        assert answer.json()["erased"] is True
        history = api.get(answer.json()["timeline"])
        assert history.status_code == 200
        was = api.get(f"/v1/{kind}/{record['id']}", params={"known_at": "2999-01-01T00:00:00Z"})
        assert was.status_code == 410


def test_the_history_of_the_erased_stands_with_their_values_left_out(
    api: httpx.Client, created: Any, erase: Any
) -> None:
    made = created("customers", person(email="maya@example.com", reason="She asked"))
    api.post(f"/v1/customers/{made['id']}/archive")
    done = erase(made["subject_id"])
    entries = api.get(f"/v1/customers/{made['id']}/timeline").json()["items"]
    assert [it["type"] for it in entries] == ["customer.registered", "customer.archived"]
    assert entries[0]["personal"]["name"] == {"erased": True, "category": "identity"}
    assert entries[0]["personal"]["email"] == {"erased": True, "category": "contact"}
    assert entries[0]["personal"]["address"] is None
    assert entries[0]["reason"] == {"erased": True, "category": "conversation"}
    of_subject = api.get(
        f"/v1/subjects/{made['subject_id']}/timeline", params={"at_least": done["position"]}
    ).json()["items"]
    assert [it["type"] for it in of_subject][-2:] == ["erasure.requested", "subject.erased"]


def test_lists_show_the_erased_as_erased(api: httpx.Client, created: Any, erase: Any) -> None:
    sector_product = uuid4().hex
    lead = created("leads", {"source": "fair", "product": sector_product, "name": "Maya", "note": "x"})
    done = erase(lead["subject_id"])
    (shown,) = api.get("/v1/leads", params={"product": sector_product, "at_least": done["position"]}).json()[
        "items"
    ]
    assert shown["erased"] is True
    assert shown["name"] is shown["note"] is None
    assert shown["product"] == sector_product


def test_search_and_lookup_do_not_find_the_erased(api: httpx.Client, created: Any, erase: Any) -> None:
    word, email = f"Quillon{uuid4().hex[:8]}", f"{uuid4().hex}@example.com"
    made = created("customers", person(name=word, email=email))
    query = {"at_least": made["position"]}
    assert api.get("/v1/customers", params={"q": word} | query).json()["items"]
    assert api.post("/v1/customers/lookup", json={"email": email}, params=query).json()["items"]
    query = {"at_least": erase(made["subject_id"])["position"]}
    assert api.get("/v1/customers", params={"q": word} | query).json()["items"] == []
    assert api.post("/v1/customers/lookup", json={"email": email}, params=query).json()["items"] == []


def test_an_erased_contact_leaves_the_organisation_as_it_is(
    api: httpx.Client, created: Any, read: Any, erase: Any
) -> None:
    firm = created("customers", organisation())
    path = f"/v1/customers/{firm['id']}/add-contact"
    gone, stays = (api.post(path, json={"name": name}).json() for name in ("Jonas Okafor", "Lea Sand"))
    done = erase(gone["contact_id"])
    shown = read("customers", firm | {"position": done["position"]}).json()
    assert [(it["name"], it["erased"]) for it in shown["contacts"]] == [(None, True), ("Lea Sand", False)]
    assert stays["contact_id"] == shown["contacts"][1]["id"]


def test_nothing_is_written_about_the_erased_any_more(api: httpx.Client, created: Any, erase: Any) -> None:
    made = created("customers", person())
    erase(made["subject_id"])
    answer = api.post(f"/v1/customers/{made['id']}/rename", json={"name": "Maya Vogel"})
    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:lethe:problem:subject-is-erased"


def test_an_erasure_is_told_of_from_request_to_end(api: httpx.Client, created: Any, erase: Any) -> None:
    made = created("customers", person())
    done = erase(made["subject_id"])
    query = {"at_least": done["position"]}
    erasure = api.get(done["location"], params=query).json()
    subject = api.get(f"/v1/subjects/{made['subject_id']}", params=query).json()
    assert erasure["subject_id"] == made["subject_id"]
    assert erasure["erased_at"] is not None
    assert len(erasure["fingerprints"]) == 1
    assert subject["erased"] is True
    assert subject["keys"]["identity"] == "erased"
    assert [it["id"] for it in subject["erasures"]] == [erasure["id"]]


def test_a_repeated_request_to_erase_is_the_same_erasure(created: Any, erase: Any) -> None:
    made = created("customers", person())
    key = {"Idempotency-Key": str(uuid4())}
    assert erase(made["subject_id"], **key) == erase(made["subject_id"], **key)


def test_nobody_unknown_is_erased(api: httpx.Client) -> None:
    answer = api.post(f"/v1/subjects/{uuid4()}/erasure", json=GROUND)
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:lethe:problem:subject-not-found"


def test_an_erasure_that_was_never_asked_for_is_not_found(api: httpx.Client) -> None:
    assert api.get(f"/v1/erasures/{uuid4()}").status_code == 404
