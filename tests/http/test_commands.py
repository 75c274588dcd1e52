"""Commands over HTTP: what they answer, and how they are repeated, guarded and dated."""

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infra.access import Scope
from infra.http import customers, leads, members, staff, tickets
from infra.http.commands import CommandBody, Verb
from tests.http.samples import organisation, person, ticket
from tests.http.stack import Running


def test_a_create_answers_where_the_record_is_and_which_version(api: httpx.Client) -> None:
    answer = api.post("/v1/customers", json=person())
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/customers/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert made.keys() == {"id", "subject_id", "version", "position"}


def test_a_command_answers_the_next_version_and_a_later_position(api: httpx.Client, created: Any) -> None:
    made = created("leads", {"source": "fair"})
    answer = api.post(f"/v1/leads/{made['id']}/contact", json={"channel": "phone"})
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert answer.json()["position"] > made["position"]


def test_a_command_that_takes_nothing_needs_no_body(api: httpx.Client, created: Any, read: Any) -> None:
    made = created("customers", person())
    answer = api.post(f"/v1/customers/{made['id']}/archive")
    assert answer.status_code == 200
    assert read("customers", answer.json()).json()["archived"] is True


def test_a_repeated_create_with_its_key_makes_one_record(api: httpx.Client) -> None:
    key = {"Idempotency-Key": f"order {uuid4()}"}
    first, again = (api.post("/v1/customers", json=person(), headers=key) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]


def test_a_repeated_command_gets_the_first_answer_though_it_would_be_refused_now(
    api: httpx.Client, created: Any
) -> None:
    made = created("leads", {"source": "fair"})
    key = {"Idempotency-Key": str(uuid4())}
    body = {"value": {"amount": "900.00", "currency": "EUR"}}
    first = api.post(f"/v1/leads/{made['id']}/qualify", json=body, headers=key)
    api.post(f"/v1/leads/{made['id']}/lose", json={"cause": "price"})
    again = api.post(f"/v1/leads/{made['id']}/qualify", json=body, headers=key)
    assert again.status_code == 200
    assert again.json() == first.json()


def test_a_key_used_for_another_request_is_refused(api: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    api.post("/v1/customers", json=person(), headers=key)
    answer = api.post("/v1/customers", json=person(name="Somebody Else"), headers=key)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:lethe:problem:command-reused"


def test_two_callers_may_choose_the_same_key_of_words(server: Running) -> None:
    key = {"Idempotency-Key": f"monday {uuid4().hex[:8]}"}
    answers = []
    for _ in range(2):
        with server.client(Scope.WRITE) as client:
            answers.append(client.post("/v1/customers", json=person(), headers=key))
    assert [it.status_code for it in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_a_command_for_another_version_is_stale(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    stale = api.post(f"/v1/customers/{made['id']}/archive", headers={"If-Match": '"7"'})
    right = api.post(f"/v1/customers/{made['id']}/archive", headers={"If-Match": '"1"'})
    assert (stale.status_code, right.status_code) == (412, 200)


def test_a_command_for_any_version_is_applied(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    answer = api.post(f"/v1/customers/{made['id']}/archive", headers={"If-Match": "*"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [("If-Match", "3"), ("If-Match", 'W/"3"'), ("Idempotency-Key", "k" * 256), ("X-Correlation-Id", "abc")],
)
def test_a_malformed_header_is_named(api: httpx.Client, created: Any, header: str, value: str) -> None:
    made = created("customers", person())
    answer = api.post(f"/v1/customers/{made['id']}/archive", headers={header: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == header


def test_what_happened_earlier_is_dated_so(api: httpx.Client, read: Any) -> None:
    made = api.post("/v1/leads", json={"source": "fair", "occurred_at": "2017-01-05T09:00:00+01:00"})
    assert read("leads", made.json()).json()["captured_at"] == "2017-01-05T08:00:00Z"


def test_nothing_happens_in_the_future(api: httpx.Client) -> None:
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    answer = api.post("/v1/leads", json={"source": "fair", "occurred_at": later})
    assert answer.status_code == 422
    assert answer.json()["errors"][0] == {
        "field": "occurred_at",
        "rule": "future",
        "message": "It cannot have happened in the future.",
    }


def test_cause_and_reason_come_back_in_the_timeline(api: httpx.Client) -> None:
    correlation, trace = str(uuid4()), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    made = api.post(
        "/v1/customers",
        json=person(reason="Asked by phone"),
        headers={"X-Correlation-Id": correlation, "traceparent": trace},
    ).json()
    entry = api.get(f"/v1/customers/{made['id']}/timeline").json()["items"][0]
    query = {"after": made["position"] - 1, "limit": 1, "wait": 30}
    event = api.get("/v1/events", params=query).json()["items"][0]
    assert entry["reason"] == "Asked by phone"
    assert entry["correlation_id"] == event["correlationid"] == correlation
    assert event["traceparent"] == trace


def test_a_broken_traceparent_is_left_out_not_refused(api: httpx.Client) -> None:
    made = api.post("/v1/customers", json=person(), headers={"traceparent": "00-zz-1-1"})
    query = {"after": made.json()["position"] - 1, "limit": 1, "wait": 30}
    event = api.get("/v1/events", params=query).json()["items"][0]
    assert made.status_code == 201
    assert "traceparent" not in event


def test_a_contact_added_again_with_its_key_is_the_same_person(
    api: httpx.Client, created: Any, read: Any
) -> None:
    made = created("customers", organisation())
    key = {"Idempotency-Key": str(uuid4())}
    path = f"/v1/customers/{made['id']}/add-contact"
    first, again = (api.post(path, json={"name": "Jonas Okafor"}, headers=key) for _ in range(2))
    assert first.status_code == 200
    assert first.json() == again.json()
    contacts = read("customers", first.json()).json()["contacts"]
    assert [it["id"] for it in contacts] == [first.json()["contact_id"]]


def test_a_lead_or_ticket_of_a_person_is_about_that_person(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    lead = created("leads", {"source": "fair", "customer_id": made["id"]})
    opened = created("tickets", ticket(customer_id=made["id"]))
    assert lead["subject_id"] == opened["subject_id"] == made["subject_id"]


def test_a_lead_of_an_organisation_is_about_somebody_of_its_own(created: Any) -> None:
    made = created("customers", organisation())
    lead = created("leads", {"source": "fair", "customer_id": made["id"]})
    assert lead["subject_id"] != made["subject_id"]


def test_a_person_registered_from_a_lead_keeps_the_data_subject(created: Any) -> None:
    lead = created("leads", {"source": "fair", "name": "Maya Brandt"})
    assert created("customers", person(lead_id=lead["id"]))["subject_id"] == lead["subject_id"]


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("leads", {"source": "fair", "customer_id": str(uuid4())}, "customer_id"),
        ("tickets", ticket(customer_id=str(uuid4())), "customer_id"),
        ("customers", person(lead_id=str(uuid4())), "lead_id"),
    ],
)
def test_a_record_that_does_not_exist_cannot_be_named(
    api: httpx.Client, kind: str, body: dict[str, Any], field: str
) -> None:
    answer = api.post(f"/v1/{kind}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def _verbs() -> list[tuple[str, Verb]]:
    return [
        *(("customers", verb) for verb in customers.VERBS),
        *(("leads", verb) for verb in leads.VERBS),
        *(("tickets", verb) for verb in tickets.VERBS),
        *(("members", verb) for verb in (*members.VERBS, *staff.VERBS)),
    ]


@pytest.mark.parametrize(("kind", "verb"), _verbs(), ids=lambda it: getattr(it, "path", it))
def test_a_body_has_the_fields_of_the_service_method(server: Running, kind: str, verb: Verb) -> None:
    method = verb.act(server.app.state.door)
    taken = set(inspect.signature(method).parameters) - {"to"}
    assert set(verb.body.model_fields) - CommandBody.ENVELOPE == taken


@pytest.mark.parametrize("kind", ["customers", "leads", "tickets", "members"])
def test_every_service_method_has_its_operation(server: Running, kind: str) -> None:
    service = getattr(server.app.state.door, kind)
    methods = {name for name, _ in inspect.getmembers(service, inspect.iscoroutinefunction)}
    operations = {verb.path.replace("-", "_") for of, verb in _verbs() if of == kind}
    creating = {"customers": "register", "leads": "capture", "tickets": "open", "members": "register"}
    by_hand = {"add_contact"} if kind == "customers" else set()
    assert methods == operations | by_hand | {creating[kind]}
