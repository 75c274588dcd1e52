"""Erasing a person over HTTP, and what every read shows afterwards."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from infra.access import Scope
from tests.http.samples import organisation, person, ticket
from tests.http.stack import Running
from tests.http.subscribing import subscribing

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


def test_one_category_is_erased_and_the_record_lives_on(api: httpx.Client, created: Any, read: Any) -> None:
    made = created("customers", person(email="maya@example.com"))
    body = GROUND | {"categories": ["contact"]}
    done = api.post(f"/v1/subjects/{made['subject_id']}/erasure", json=body)
    assert done.status_code == 201
    shown = read("customers", made | {"position": done.json()["position"]})
    assert shown.status_code == 200
    assert (shown.json()["name"], shown.json()["email"], shown.json()["erased"]) == (
        "Maya Brandt",
        None,
        False,
    )
    erasure = api.get(done.headers["location"], params={"at_least": done.json()["position"]}).json()
    assert erasure["categories"] == ["contact"]
    subject = api.get(f"/v1/subjects/{made['subject_id']}").json()
    assert (subject["erased"], subject["keys"]["contact"]) == (False, "erased")


def test_a_name_is_not_found_once_the_identity_alone_is_erased(api: httpx.Client, created: Any) -> None:
    word, firm = f"Quillon{uuid4().hex[:8]}", f"Werk{uuid4().hex[:8]}"
    made = created("leads", {"source": "fair", "name": word, "organisation": firm})
    body = GROUND | {"categories": ["identity"]}
    done = api.post(f"/v1/subjects/{made['subject_id']}/erasure", json=body).json()
    query = {"at_least": done["position"]}
    assert api.get("/v1/leads", params={"q": word} | query).json()["items"] == []
    assert [it["id"] for it in api.get("/v1/leads", params={"q": firm} | query).json()["items"]] == [
        made["id"]
    ]


def test_under_a_legal_hold_an_erasure_is_refused_or_waits(
    server: Running, api: httpx.Client, created: Any
) -> None:
    made = created("customers", person())
    subject_id, hold_id = UUID(made["subject_id"]), uuid4()
    server.call(server.system.ring.hold(hold_id, subject_id))
    path = f"/v1/subjects/{subject_id}/erasure"
    refused = api.post(path, json=GROUND)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:lethe:problem:subject-is-held")
    queued = api.post(path, json=GROUND | {"when_held": "queue"})
    assert queued.status_code == 202
    place, query = queued.headers["location"], {"at_least": queued.json()["position"]}
    waiting = api.get(place, params=query).json()
    assert (waiting["held"], waiting["erased_at"]) == (True, None)
    server.call(server.system.ring.release(hold_id, subject_id))
    assert server.call(server.system.erasures.resume()) in (0, 1), "the background work may have been faster"
    subject = api.get(f"/v1/subjects/{subject_id}").json()
    assert subject["erased"] is True


def test_a_subscriber_acknowledges_an_erasure(api: httpx.Client, created: Any, erase: Any) -> None:
    made = created("customers", person())
    done = erase(made["subject_id"])
    path = f"{done['location']}/acknowledge"
    first = api.post(path, json={"subscriber": "newsletter"})
    again = api.post(path, json={"subscriber": "newsletter"})
    assert (first.status_code, again.status_code) == (200, 200)
    query = {"at_least": first.json()["position"]}
    assert api.get(done["location"], params=query).json()["acknowledged_by"] == ["newsletter"]
    assert api.post(path, json={"subscriber": "Maya Brandt"}).status_code == 422
    assert api.post(path, json={}).json()["errors"][0]["field"] == "subscriber"
    assert api.post(f"/v1/erasures/{uuid4()}/acknowledge", json={"subscriber": "x"}).status_code == 404


def test_a_registered_subscriber_acknowledges_under_its_own_name_only(
    server: Running, api: httpx.Client, created: Any, erase: Any
) -> None:
    done = erase(created("customers", person())["subject_id"])
    path = f"{done['location']}/acknowledge"
    with subscribing(api) as mirror, server.client(Scope.SUBSCRIBE) as nobody:
        waiting = mirror.shown(done["position"])["unacknowledged"]
        other = mirror.client.post(path, json={"subscriber": "shop"})
        own = mirror.client.post(path, json={})
        left = mirror.shown(own.json()["position"])["unacknowledged"]
        stranger = nobody.post(path, json={"subscriber": mirror.name})
    assert (own.status_code, other.status_code, stranger.status_code) == (200, 422, 403)
    query = {"at_least": own.json()["position"]}
    assert api.get(done["location"], params=query).json()["acknowledged_by"] == [mirror.name]
    assert waiting == left == [], "it was registered after the erasure"
