"""Privacy requests over HTTP: a person exercises a right, and is answered in time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from infra.bootstrap import System
from infra.reminding import carry_on, remind
from tests.http.samples import person
from tests.http.stack import Running

REQUESTS = "/v1/privacy-requests"
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def subject(api: httpx.Client, created: Any) -> str:
    """A person who is a customer."""
    made = created("customers", person(email="maya@example.com"))
    api.get(f"/v1/customers/{made['id']}", params={"at_least": made["position"]})
    return str(made["subject_id"])


@pytest.fixture
def ask(created: Any, subject: str) -> Ask:
    """Receive a request of that person; its answer."""

    def asking(kind: str, **more: Any) -> dict[str, Any]:
        body = {"kind": kind, "channel": "email", "subject_id": subject, "text": "Please, Maya."} | more
        made: dict[str, Any] = created("privacy-requests", body)
        return made

    return asking


def do(api: httpx.Client, id: str, verb: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = api.post(f"{REQUESTS}/{id}/{verb}", json=body)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def seen(api: httpx.Client, applied: dict[str, Any]) -> dict[str, Any]:
    """The request, once the views show it."""
    answer = api.get(f"{REQUESTS}/{applied['id']}", params={"at_least": applied["position"]})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_request_is_received_and_has_a_deadline(api: httpx.Client, ask: Ask, subject: str) -> None:
    request = seen(api, ask("access", received_on="2026-01-31"))
    assert (request["subject_id"], request["state"], request["text"]) == (subject, "open", "Please, Maya.")
    assert (request["received_on"], request["due_on"]) == ("2026-01-31", "2026-03-02")
    assert api.get(f"/v1/subjects/{subject}").json()["privacy_requests"] == [
        {"id": request["id"], "kind": "access", "state": "open", "due_on": "2026-03-02"}
    ]
    assert request["overdue"] is (datetime.now(UTC) >= datetime(2026, 3, 3, tzinfo=UTC))


def test_somebody_of_whom_nothing_is_held_may_ask_too(api: httpx.Client, created: Any) -> None:
    request = seen(api, created("privacy-requests", {"kind": "access", "channel": "web", "text": "Hello?"}))
    assert request["text"] == "Hello?"


def test_a_request_of_a_person_nobody_knows_is_not_found(api: httpx.Client) -> None:
    body = {"kind": "access", "channel": "web", "subject_id": str(uuid4())}
    assert api.post(REQUESTS, json=body).status_code == 404


def test_a_request_from_the_future_is_malformed(api: httpx.Client) -> None:
    body = {"kind": "access", "channel": "web", "received_on": "2999-01-01"}
    answer = api.post(REQUESTS, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "received_on")


def test_requests_are_listed_by_what_they_are_without_what_was_written(
    api: httpx.Client, ask: Ask, subject: str
) -> None:
    late = ask("access", received_on="2026-01-05")
    young = ask("objection")
    seen(api, young)

    def listed(**query: Any) -> list[str]:
        answer = api.get(REQUESTS, params={"subject_id": subject, **query})
        assert "text" not in answer.json()["items"][0]
        return [it["id"] for it in answer.json()["items"]]

    assert listed() == [late["id"], young["id"]]
    assert listed(kind="objection") == [young["id"]]
    assert listed(overdue=True) == [late["id"]]
    assert listed(overdue=False) == [young["id"]]
    assert listed(due_before="2026-02-06") == [late["id"]]
    assert listed(limit=1) == [late["id"]]
    seen(api, do(api, young["id"], "withdraw"))
    assert listed(state="withdrawn") == [young["id"]]


def test_the_time_is_extended_with_a_ground(api: httpx.Client, ask: Ask) -> None:
    today = datetime.now(UTC).date()
    applied = ask("portability", received_on=today.isoformat())
    first = seen(api, applied)["due_on"]
    request = seen(api, do(api, applied["id"], "extend", months=2, ground="complexity", reason="Archives."))
    assert (request["extended_by"], request["extension_ground"]) == (2, "complexity")
    assert request["due_on"] > first
    refused = do(api, applied["id"], "extend", 409, months=1, ground="complexity")
    assert refused["type"] == "urn:lethe:problem:already-extended"


def test_a_request_is_not_fulfilled_for_somebody_unknown(api: httpx.Client, ask: Ask) -> None:
    refused = do(api, ask("rectification")["id"], "fulfil", 409)
    assert refused["type"] == "urn:lethe:problem:identity-not-verified"


def test_a_rectification_is_fulfilled_on_records(api: httpx.Client, ask: Ask) -> None:
    applied, record = ask("rectification"), str(uuid4())
    do(api, applied["id"], "verify-identity", proof="called_back")
    done = do(api, applied["id"], "fulfil", record_ids=[record])
    assert (done["state"], done["held"]) == ("fulfilled", False)
    request = seen(api, done)
    assert (request["state"], request["record_ids"], request["identity_proof"]) == (
        "fulfilled",
        [record],
        "called_back",
    )


def test_a_request_is_refused_on_a_ground_of_the_law(api: httpx.Client, ask: Ask) -> None:
    applied = ask("access")
    wrong = do(api, applied["id"], "refuse", 409, ground="public_health")
    assert wrong["type"] == "urn:lethe:problem:ground-does-not-apply"
    request = seen(api, do(api, applied["id"], "refuse", ground="excessive", reason="Third this month."))
    assert (request["state"], request["refusal_ground"]) == ("refused", "excessive")


def test_a_request_to_erase_is_fulfilled_by_the_erasure_and_outlives_it(
    api: httpx.Client, ask: Ask, subject: str
) -> None:
    applied = ask("erasure")
    seen(api, do(api, applied["id"], "verify-identity", proof="known_account", reason="She called."))
    done = do(api, applied["id"], "fulfil", ground="consent_withdrawn")
    assert (done["state"], done["held"]) == ("fulfilled", False)
    request = seen(api, done)
    assert (request["state"], request["erased"], request["text"]) == ("fulfilled", True, None)
    assert request["erasure_id"] == done["erasure_id"]
    erasure = api.get(f"/v1/erasures/{done['erasure_id']}").json()
    assert (erasure["subject_id"], erasure["ground"]) == (subject, "consent_withdrawn")
    assert erasure["erased_at"] is not None
    assert [it["erased"] for it in [api.get(f"/v1/subjects/{subject}").json()]] == [True]
    assert do(api, applied["id"], "fulfil")["state"] == "fulfilled"


def test_a_restricted_person_is_answered_all_the_same(
    server: Running, api: httpx.Client, ask: Ask, subject: str
) -> None:
    ring, first = server.system.ring, ask("restriction")
    server.call(ring.restrict(UUID(subject), True, position=first["position"]))
    note = api.post(f"/v1/customers/{customer_of(api, subject)}/write-note", json={"text": "A note."})
    assert note.json()["type"] == "urn:lethe:problem:processing-restricted"
    request = seen(api, ask("objection", text="Stop it."))
    assert (request["text"], request["restricted"]) == ("Stop it.", True)


def customer_of(api: httpx.Client, subject: str) -> str:
    records = api.get(f"/v1/subjects/{subject}").json()["records"]
    return next(str(it["id"]) for it in records if it["kind"] == "customer")


def test_the_same_key_fulfils_once(api: httpx.Client, ask: Ask) -> None:
    applied = ask("erasure")
    do(api, applied["id"], "verify-identity", proof="in_person")
    key = {"Idempotency-Key": str(uuid4())}
    answers = [api.post(f"{REQUESTS}/{applied['id']}/fulfil", json={}, headers=key) for _ in range(2)]
    assert [it.status_code for it in answers] == [200, 200]
    assert answers[0].json()["erasure_id"] == answers[1].json()["erasure_id"]


def test_under_a_legal_hold_a_request_to_erase_stays_open_until_it_is_lifted(
    server: Running, api: httpx.Client, ask: Ask, subject: str
) -> None:
    system, hold = server.system, uuid4()
    assert server.call(system.ring.hold(hold, UUID(subject)))
    applied = ask("erasure")
    do(api, applied["id"], "verify-identity", proof="in_person")
    held = do(api, applied["id"], "fulfil", 202)
    assert (held["state"], held["held"]) == ("open", True)
    request = seen(api, held)
    assert (request["state"], request["erasure_id"], request["text"]) == (
        "open",
        held["erasure_id"],
        "Please, Maya.",
    )
    refused = do(api, applied["id"], "withdraw", 409)
    assert refused["type"] == "urn:lethe:problem:erasure-under-way"

    now = system.clock.now()
    assert server.call(carry_on(system.views.privacy, system.privacy_requests, now))[1] >= 1
    server.call(system.ring.release(hold, UUID(subject)))
    assert server.call(carry_on(system.views.privacy, system.privacy_requests, now))[0] >= 1
    done = do(api, applied["id"], "fulfil")
    assert seen(api, done)["state"] == "fulfilled"


def test_a_request_is_reminded_of_once_for_each_notice(server: Running, api: httpx.Client, ask: Ask) -> None:
    system = server.system
    today = datetime.now(UTC).date()
    applied = ask("access", received_on=today.isoformat())
    due = datetime.combine(datetime.fromisoformat(seen(api, applied)["due_on"]), datetime.min.time(), UTC)

    def notice(at: datetime) -> Any:
        server.call(remind(system.views.privacy, system.privacy_requests, at))
        server.call(remind(system.views.privacy, system.privacy_requests, at))
        server.call(settled(system))
        return api.get(f"{REQUESTS}/{applied['id']}").json()

    assert notice(due - timedelta(days=8))["notice"] is None
    assert notice(due - timedelta(days=7))["notice"] == "week_left"
    assert notice(due - timedelta(days=1))["notice"] == "two_days_left"
    last = notice(due + timedelta(days=1))
    assert last["notice"] == "overdue"
    assert last["version"] == 4


async def settled(system: System) -> None:
    """The views show everything there is."""
    assert await system.views.wait_for(await system.reader.horizon(), 10)
