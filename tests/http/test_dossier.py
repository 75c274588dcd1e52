"""The dossier: all that is held about a person, nobody else's, in a form that is published."""

import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from domain.catalogue import EVENTS, layout
from domain.values import ExportFormat
from infra.access import Scope
from infra.dossier import gathering
from infra.dossier.gathering import Asked, Form, LogEnd, open_dossier
from infra.dossier.handing import Handing
from infra.dossier.provided import PROVIDED
from services.ports import CommandContext, Unavailable
from tests.http.samples import activity, organisation, person, ticket
from tests.http.stack import Running
from tests.http.subscribing import subscribing

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas" / "dossier.schema.json"
SECRET = "<script>alert('Maya & co')</script>"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    published = json.loads(PUBLISHED.read_text())
    Draft202012Validator.check_schema(published)
    return Draft202012Validator(published, format_checker=FormatChecker())


def command(api: httpx.Client, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = api.post(path, json=body)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture
def maya(api: httpx.Client) -> dict[str, Any]:
    """A customer who moved house, complained, and was written about; what the last command answered."""
    made = command(
        api, "/v1/customers", 201, **person(email="maya@example.com", address="Lindenallee 7", source="fair")
    )
    customer = f"/v1/customers/{made['id']}"
    command(api, f"{customer}/change-address", address="Rue Haute 3", reason="She moved house.")
    command(api, f"{customer}/write-note", text=SECRET)
    opened = command(api, "/v1/tickets", 201, **ticket(customer_id=made["id"], subject="It is dark"))
    command(api, f"/v1/tickets/{opened['id']}/assign", team="east", agent_id=str(uuid4()))
    last = command(
        api, f"/v1/tickets/{opened['id']}/receive-reply", channel="email", text="Still dark, Maya."
    )
    return {"subject_id": made["subject_id"], "customer": made["id"], "position": last["position"]}


def dossier(api: httpx.Client, whose: dict[str, Any], **query: Any) -> httpx.Response:
    answer = api.get(
        f"/v1/subjects/{whose['subject_id']}/dossier", params={"at_least": whose["position"], **query}
    )
    assert answer.status_code == 200, answer.text
    return answer


def test_the_published_schema_is_the_one_that_is_served(
    api: httpx.Client, schema: Draft202012Validator
) -> None:
    assert api.get("/v1/schemas/dossier.json").json() == schema.schema


def test_it_holds_what_is_known_now_and_how_it_came_about(
    api: httpx.Client, maya: dict[str, Any], schema: Draft202012Validator
) -> None:
    answer = dossier(api, maya)
    found = answer.json()
    schema.validate(found)
    assert answer.headers["cache-control"] == "no-store"
    assert found["dossier"]["subject_id"] == maya["subject_id"]
    current = {it["kind"]: it for it in found["records"]}
    assert current["customer"]["personal"]["address"] == "Rue Haute 3"
    assert current["customer"]["facts"]["lawful_basis"] == "contract"
    assert current["customer"]["facts"]["source"] == "fair"
    assert current["ticket"]["personal"]["subject"] == "It is dark"
    told = [(it["type"], it["personal"], it["reason"]) for it in found["history"]]
    assert told[0][0] == "customer.registered"
    assert told[0][1]["address"] == "Lindenallee 7"
    assert told[1] == ("customer.address_changed", {"address": "Rue Haute 3"}, "She moved house.")
    assert told[2] == ("customer.note_written", {"text": SECRET}, None)
    assert found["end"] == {"records": 2, "events": 6}


def test_it_names_none_of_the_staff(api: httpx.Client, maya: dict[str, Any]) -> None:
    text = dossier(api, maya).text
    assert "agent_id" not in text
    assert '"actor"' not in text


def test_what_the_person_provided_can_be_taken_elsewhere(
    api: httpx.Client, maya: dict[str, Any], schema: Draft202012Validator
) -> None:
    found = dossier(api, maya, form="portability").json()
    schema.validate(found)
    assert [it["type"] for it in found["history"]] == [
        "customer.registered",
        "customer.address_changed",
        "ticket.opened",
        "ticket.reply_received",
    ]
    assert SECRET not in json.dumps(found)
    assert "accesses" not in found
    assert {it["kind"]: it["personal"] for it in found["records"]}["customer"] == {
        "name": "Maya Brandt",
        "email": "maya@example.com",
        "address": "Rue Haute 3",
    }


def test_the_fields_that_people_provide_are_personal_fields_that_there_are() -> None:
    for topic, names in PROVIDED.items():
        assert names <= layout(EVENTS[topic]).personal.keys(), topic


def test_it_can_be_read_and_nothing_in_it_runs_or_is_loaded(api: httpx.Client, maya: dict[str, Any]) -> None:
    answer = dossier(api, maya, format="html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    text = answer.text
    assert "&lt;script&gt;alert(&#x27;Maya &amp; co&#x27;)&lt;/script&gt;" in text
    assert "<script" not in text
    assert not any(word in text for word in ("src=", "href=", "@import", "url("))
    assert "Rue Haute 3" in text
    assert "Lindenallee 7" in text
    assert "You may complain to a supervisory authority" in text
    assert "This document is whole: 2 records, 6 events." in text


def test_a_contact_sees_their_own_part_of_an_organisation_and_nobody_else(
    api: httpx.Client, schema: Draft202012Validator
) -> None:
    made = command(api, "/v1/customers", 201, **organisation(sector="tools"))
    people = [
        command(api, f"/v1/customers/{made['id']}/add-contact", name=name, email=f"{name}@example.com")
        for name in ("ann", "bob")
    ]
    ann = {"subject_id": people[0]["contact_id"], "position": people[1]["position"]}
    found = dossier(api, ann).json()
    schema.validate(found)
    [record] = found["records"]
    assert record["facts"] == {"organisation": "Brandt Maschinenbau", "sector": "tools"}
    assert record["personal"] == {"name": "ann", "email": "ann@example.com"}
    assert [it["type"] for it in found["history"]] == ["customer.contact_added"]
    assert "bob" not in json.dumps(found)


def test_who_got_it_is_noted_and_told_the_next_time(server: Running, api: httpx.Client, maya: Any) -> None:
    first = dossier(api, maya).json()["dossier"]["id"]
    server.call(kept(server))
    accesses = dossier(api, maya).json()["accesses"]
    assert [(it["operation"], it["ground"]) for it in accesses if it["export_id"] == first] == [
        ("read_dossier", "subject_rights")
    ]


@pytest.mark.parametrize("format", ["json", "html"])
def test_it_is_an_export_whose_digest_is_in_the_log(
    api: httpx.Client, maya: dict[str, Any], format: str
) -> None:
    answer = dossier(api, maya, format=format)
    export = api.get(f"/v1/exports/{answer.headers['lethe-export']}").json()
    assert (export["state"], export["what"], export["format"]) == ("made", "dossier", format)
    assert (export["exported_subject_id"], export["filters"]) == (maya["subject_id"], {"form": "access"})
    assert export["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert (export["byte_count"], export["count"]) == (len(answer.content), 6)


def test_it_names_the_exports_that_held_the_persons_data(
    api: httpx.Client, maya: dict[str, Any], schema: Draft202012Validator
) -> None:
    first = dossier(api, maya).json()["dossier"]["id"]
    other = command(api, "/v1/customers", 201, **person())
    of_another = dossier(api, other).json()["dossier"]["id"]
    history = {"what": "record-timeline", "id": maya["customer"], "format": "jsonl"}
    record = api.post("/v1/exports", json=history)
    everyone = api.post("/v1/exports", json={"what": "view", "view": "customers", "format": "csv"})
    assert (record.status_code, everyone.status_code) == (200, 200), everyone.text

    found = dossier(api, maya).json()
    schema.validate(found)
    held = {it["id"]: it["held"] for it in found["exports"]}
    assert held[first] == held[record.headers["lethe-export"]] == "the person"
    assert held[everyone.headers["lethe-export"]] == "many people"
    assert of_another not in held


def test_it_tells_what_for_on_which_basis_to_whom_and_for_how_long_but_of_no_legal_hold(
    api: httpx.Client, maya: dict[str, Any], schema: Draft202012Validator
) -> None:
    says = activity(
        name="Newsletter", lawful_basis="consent", consent_needed=True, recipients=["the printer"]
    )
    command(api, "/v1/activities", 201, **says)
    agreed = {"purpose": says["code"], "wording_version": "2026-02", "source": "web form"}
    command(api, f"/v1/subjects/{maya['subject_id']}/consents", 201, channel="email", **agreed)
    policy = {"kind": "ticket", "category": "conversation", "days": 365, "after": ["ticket.closed"]}
    kept = command(api, "/v1/retention", 201, legal_reason="Needed for a year.", **policy)
    held = {"matter": "matter-4711", "subject_ids": [maya["subject_id"]]}
    command(api, "/v1/holds", 201, **held)

    found = dossier(api, maya).json()
    schema.validate(found)
    register = {it["code"]: it for it in found["processing"]["activities"]}[says["code"]]
    assert (register["lawful_basis"], register["recipients"]) == ("consent", ["the printer"])
    assert [(it["purpose"], it["state"], it["channel"]) for it in found["consents"]] == [
        (says["code"], "given", "email")
    ]
    assert ("ticket", "conversation", 365) in {
        (it["kind"], it["category"], it["days"]) for it in found["retention"]
    }
    assert "matter-4711" not in json.dumps(found)
    assert "hold" not in {it["kind"] for it in (*found["records"], *found["history"])}
    command(api, f"/v1/retention/{kept['id']}/withdraw")


def test_it_names_the_systems_that_may_open_the_data_and_those_that_did(
    api: httpx.Client, maya: dict[str, Any], schema: Draft202012Validator
) -> None:
    with subscribing(api, "identity", "contact") as mirror, subscribing(api) as other:
        last = mirror.command("grant", categories=["contact"], purpose="post")
        mirror.shown(last["position"])
        registered = dossier(api, maya).json()["history"][0]["position"]
        assert set(mirror.unseal(registered)[0]["values"]) == {"name", "email", "address"}
        until = time.monotonic() + 30
        while not api.get(f"/v1/actors/{mirror.id}/accesses").json()["items"]:
            assert time.monotonic() < until
        found, page = dossier(api, maya).json(), dossier(api, maya, format="html").text
        schema.validate(found)
        of_mirror = [it for it in found["processing"]["recipients"] if it["name"] == mirror.name]
        assert of_mirror == [
            {"name": mirror.name, "purpose": "support", "categories": ["identity"]},
            {"name": mirror.name, "purpose": "post", "categories": ["contact"]},
        ]
        assert {it["purpose"] for it in found["accesses"] if it["subscriber"] == mirror.name} == {
            "support",
            "post",
        }
        assert f"{mirror.name}, for support: identity" in page
        assert other.name not in page, "it may open nothing"


def test_one_that_breaks_off_is_recorded_as_aborted_and_answers_nothing(
    server: Running, api: httpx.Client, maya: dict[str, Any]
) -> None:
    asked = command(
        api, "/v1/privacy-requests", 201, kind="access", channel="email", subject_id=maya["subject_id"]
    )
    request = f"/v1/privacy-requests/{asked['id']}"
    last = command(api, f"{request}/verify-identity", proof="called_back")
    api.get(request, params={"at_least": last["position"]})
    wanted = Asked(uuid4(), UUID(maya["subject_id"]), Form.ACCESS, UUID(asked["id"]))
    id = server.call(broken_off(server, wanted))
    until = time.monotonic() + 10
    while (state := api.get(f"/v1/exports/{id}").json()["state"]) == "begun" and time.monotonic() < until:
        time.sleep(0.05)
    assert state == "aborted"
    assert command(api, f"{request}/fulfil", 409)["type"] == "urn:lethe:problem:dossier-missing"


def test_a_list_that_is_longer_than_a_page_is_whole(
    api: httpx.Client, maya: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "ROWS_MAX", 2)
    asked = [
        command(api, "/v1/privacy-requests", 201, kind=kind, channel="email", subject_id=maya["subject_id"])
        for kind in ("access", "objection", "portability", "rectification", "restriction")
    ]
    found = dossier(api, maya | {"position": asked[-1]["position"]}).json()
    assert {it["id"] for it in found["requests"]} == {it["id"] for it in asked}


def test_there_is_none_while_the_views_are_behind_the_log(
    server: Running, maya: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "BEHIND_SECONDS_MAX", 0.1)
    sources = replace(server.system.dossiers, log=FurtherOn(server.system.dossiers.log))
    with pytest.raises(Unavailable):
        server.call(open_dossier(sources, Asked(uuid4(), UUID(maya["subject_id"]))))


class FurtherOn:
    """A log that has an event which no view shows."""

    def __init__(self, log: LogEnd) -> None:
        self._log = log

    async def last(self) -> int:
        return await self._log.last() + 1


def a_command() -> CommandContext:
    return CommandContext(
        command_id=uuid4(),
        request_digest=b"",
        actor="test",
        occurred_at=datetime.now(UTC),
        correlation_id=uuid4(),
    )


async def broken_off(server: Running, asked: Asked) -> UUID:
    """A dossier whose reader goes after the first part."""
    system = server.system
    handing = Handing(
        await open_dossier(system.dossiers, asked),
        ExportFormat.JSON,
        exports=system.exports,
        requests=system.privacy_requests,
        context_of=a_command,
    )
    await handing.begin()
    parts = handing.parts()
    await anext(parts)
    await parts.aclose()
    return asked.id


async def kept(server: Running) -> None:
    """What was noted is stored."""
    flushing = server.system.accesses._flushing
    if flushing is not None:
        await flushing


def test_of_the_erased_it_says_what_was_erased(
    api: httpx.Client, maya: dict[str, Any], schema: Draft202012Validator
) -> None:
    subject = maya["subject_id"]
    done = command(api, f"/v1/subjects/{subject}/erasure", 201, ground="objection", categories=["contact"])
    found = dossier(api, maya | {"position": done["position"]}).json()
    schema.validate(found)
    assert found["dossier"]["erased_categories"] == ["contact"]
    customer = next(it for it in found["records"] if it["kind"] == "customer")
    assert customer["personal"]["name"] == "Maya Brandt"
    assert customer["personal"]["address"] == {"erased": True, "category": "contact"}

    done = command(api, f"/v1/subjects/{subject}/erasure", 201, ground="objection")
    found = dossier(api, maya | {"position": done["position"]}).json()
    schema.validate(found)
    assert found["dossier"]["erased"] is True
    assert "Maya Brandt" not in json.dumps(found)
    assert "erased (identity)" in dossier(api, maya, format="html").text


def test_it_answers_a_privacy_request(api: httpx.Client, maya: dict[str, Any]) -> None:
    asked = command(
        api, "/v1/privacy-requests", 201, kind="access", channel="email", subject_id=maya["subject_id"]
    )
    request = f"/v1/privacy-requests/{asked['id']}"
    refused = api.get(f"/v1/subjects/{maya['subject_id']}/dossier", params={"request_id": asked["id"]})
    assert refused.json()["type"] == "urn:lethe:problem:identity-not-verified"
    command(api, f"{request}/verify-identity", proof="called_back")
    assert command(api, f"{request}/fulfil", 409)["type"] == "urn:lethe:problem:dossier-missing"
    made = dossier(api, maya, request_id=asked["id"]).json()["dossier"]
    done = command(api, f"{request}/fulfil")
    assert done["state"] == "fulfilled"
    answered = api.get(request, params={"at_least": done["position"]}).json()
    assert answered["dossier_ids"] == [made["id"]]


def test_a_request_of_somebody_else_is_not_answered_by_it(api: httpx.Client, maya: dict[str, Any]) -> None:
    other = command(api, "/v1/privacy-requests", 201, kind="access", channel="email")
    answer = api.get(f"/v1/subjects/{maya['subject_id']}/dossier", params={"request_id": other["id"]})
    assert answer.status_code == 404


def test_a_restriction_does_not_keep_a_person_from_their_data(
    api: httpx.Client, maya: dict[str, Any], server: Running
) -> None:
    server.call(server.system.ring.restrict(UUID(maya["subject_id"]), True, position=maya["position"]))
    found = dossier(api, maya).json()
    assert found["dossier"]["restricted"] is True
    assert found["records"][0]["personal"]["name"] == "Maya Brandt"


def test_of_a_person_nobody_knows_there_is_none(api: httpx.Client, server: Running) -> None:
    assert api.get(f"/v1/subjects/{uuid4()}/dossier").status_code == 404
    with server.client(Scope.READ) as reader:
        assert reader.get(f"/v1/subjects/{uuid4()}/dossier").status_code == 403
