"""Daily work with markers in every personal field, imports, and blunders of every kind."""

from typing import Any

from tests.faults.marked_site import Markers, Site

SEGMENT = 256
"""Events of one record after which its row is kept, for views of other times."""
VALUE = {"value": {"amount": "12.50", "currency": "EUR"}}


def person(markers: Markers) -> dict[str, Any]:
    return {
        "kind": "person",
        "source": "web",
        "lawful_basis": "contract",
        "purpose": "sales",
        "name": f"Maya {markers.word()}",
        "born_on": markers.day,
        "email": markers.email(),
        "phone": markers.phone(),
        "address": f"{markers.word()} 7\n20259 Hamburg",
    }


def organisation(markers: Markers) -> dict[str, Any]:
    return {
        "kind": "organisation",
        "source": "web",
        "lawful_basis": "contract",
        "purpose": "sales",
        "organisation": markers.public,
    }


def use_customers(at: Site, markers: Markers) -> list[dict[str, Any]]:
    made = at.post("/v1/customers", person(markers))
    one = f"/v1/customers/{made['id']}"
    at.post(f"{one}/rename", {"name": markers.word()})
    at.post(f"{one}/change-email", {"email": markers.email()})
    at.post(f"{one}/change-phone", {"phone": markers.phone()})
    at.post(f"{one}/change-address", {"address": markers.word()})
    # Long enough to be stored out of line, and compressed if it could be.
    at.post(f"{one}/write-note", {"text": (markers.word() + " ") * 600})
    company = at.post("/v1/customers", organisation(markers))
    contacts = f"/v1/customers/{company['id']}"
    contact = {"name": markers.word(), "role": markers.word(), "email": markers.email()}
    added = at.post(f"{contacts}/add-contact", {**contact, "phone": markers.phone()})
    changed = {"contact_id": added["contact_id"], "name": markers.word(), "role": markers.word()}
    at.post(f"{contacts}/change-contact", {**changed, "email": markers.email(), "phone": markers.phone()})
    at.post(f"{contacts}/tag", {"tags": [markers.public]})
    for verb, body in (("assign", {"owner_id": None}), ("segment", {"segment": None})):
        at.post(f"{contacts}/{verb}", body)
    at.post(f"{contacts}/archive", {})
    at.post(f"{contacts}/reinstate", {})
    return [made, {"id": company["id"], "subject_id": added["contact_id"]}]


def make_a_long_history(at: Site, markers: Markers) -> dict[str, Any]:
    """A customer with so many events that rows of theirs are kept for views of other times."""
    made = at.post("/v1/customers", person(markers))
    for _ in range(SEGMENT):
        at.ask(f"/v1/customers/{made['id']}/change-address", {"address": markers.word()})
    return made


def use_leads(at: Site, markers: Markers) -> list[dict[str, Any]]:
    lead = {"source": "web", "currency": "EUR", "name": markers.word(), "email": markers.email()}
    made = at.post("/v1/leads", {**lead, "phone": markers.phone(), "note": markers.word()})
    one = f"/v1/leads/{made['id']}"
    at.post(f"{one}/contact", {"channel": "phone", "note": markers.word()})
    at.post(f"{one}/qualify", VALUE)
    at.post(f"{one}/propose", VALUE)
    at.post(f"{one}/revalue", {"value": {"amount": "15.00", "currency": "EUR"}})
    at.post(f"{one}/win", VALUE)
    lost = at.post("/v1/leads", lead)
    at.post(f"/v1/leads/{lost['id']}/lose", {"cause": "price", "note": markers.word()})
    at.post(f"/v1/leads/{lost['id']}/reopen", {})
    at.post(f"/v1/leads/{lost['id']}/disqualify", {"note": markers.word()})
    return [made, lost]


def use_tickets(at: Site, markers: Markers) -> list[dict[str, Any]]:
    ticket = {"channel": "email", "impact": "low", "urgency": "low"}
    made = at.post("/v1/tickets", {**ticket, "subject": markers.word(), "description": markers.word()})
    one = f"/v1/tickets/{made['id']}"
    at.post(f"{one}/send-reply", {"channel": "email", "text": markers.word()})
    at.post(f"{one}/receive-reply", {"channel": "email", "text": markers.word()})
    at.post(f"{one}/write-note", {"text": markers.word()})
    at.post(f"{one}/prioritise", {"impact": "high", "urgency": "low"})
    at.post(f"{one}/assign", {"team": "Devices"})
    at.post(f"{one}/escalate", {"line": "second"})
    at.post(f"{one}/progress", {"activity": "parts_ordered"})
    at.post(f"{one}/pause", {"waiting_for": "customer"})
    at.post(f"{one}/resume", {})
    at.post(f"{one}/resolve", {"note": markers.word()})
    at.post(f"{one}/reopen", {})
    at.post(f"{one}/resolve", {"note": markers.word()})
    at.post(f"{one}/close", {})
    return [made]


def use_members(at: Site, markers: Markers) -> list[dict[str, Any]]:
    made = at.post("/v1/members", {"name": markers.word(), "email": markers.email(), "team": "Devices"})
    one = f"/v1/members/{made['id']}"
    at.post(f"{one}/move", {"team": "Firmware"})
    at.post(f"{one}/train", {"course": "privacy", "version": "1", "on": "2026-03-02"})
    at.post(f"{one}/acknowledge", {"policy": "acceptable-use", "version": "4", "on": "2026-03-02"})
    at.post(f"{one}/leave", {})
    return [made]


def import_files(at: Site, markers: Markers) -> None:
    """Good rows and bad ones, of every kind of file; then the same again."""
    people = at.input(
        "people.csv",
        "key,name,email,phone,address,born_on,lawful_basis,purpose,note",
        f"{markers.word()},{markers.word()},{markers.email()},{markers.phone()},{markers.word()},1970-01-01,"
        f"contract,sales,{markers.word()}",
        f"{markers.word()},{markers.word()},{markers.word()},,,,contract,sales,",
        f"{markers.word()},{markers.word()},,{markers.word()},,{markers.word()},contract,sales,",
        f"{markers.word()},{markers.word()},,,,,{markers.word()},sales,",
    )
    cards = at.input(
        "people.vcf",
        "BEGIN:VCARD\nVERSION:3.0",
        f"UID:{markers.word()}\nFN:{markers.word()}\nN:{markers.word()};{markers.word()}",
        f"EMAIL:{markers.email()}\nTEL:{markers.word()}\nBDAY:{markers.word()}\nNOTE:{markers.word()}",
        "END:VCARD",
    )
    staff = at.input("staff.ndjson", f'{{"key": "{markers.word()}", "name": "{markers.word()}"}}')
    leads = at.input(
        "leads.csv",
        "key,source,name,email,note",
        f"{markers.word()},fair,{markers.word()},{markers.email()},",
    )
    broken = at.input("broken.ndjson", f'{{"key": "{markers.word()}", "name": "{markers.word()}')
    at.lethe("import", "customers", people, "--dry-run", "--json", status=1)
    for _ in range(2):
        at.lethe("import", "customers", people, status=1)
    at.lethe("import", "customers", cards)
    at.lethe("import", "members", staff)
    at.lethe("import", "leads", leads)
    at.lethe("import", "members", broken, status=1)
    at.lethe("status")


def blunder(at: Site, markers: Markers) -> None:
    """Requests that are refused on every ground, each with a marker in it."""
    bad = person(markers)
    at.post("/v1/customers", {**bad, "email": markers.word()}, 422)
    at.post("/v1/customers", {**bad, "phone": markers.word()}, 422)
    at.post("/v1/customers", {**bad, "born_on": markers.word()}, 422)
    at.post("/v1/customers", {**bad, "occurred_at": markers.word()}, 422)
    at.post("/v1/customers", {**bad, markers.email(): markers.word()}, 422)
    at.post("/v1/customers", {**bad, "kind": "organisation"}, 409, 422)
    at.post("/v1/members", {"email": markers.email()}, 422)
    at.post(f"/v1/customers/{markers.word()}/rename", {"name": markers.word()}, 404, 422)
    assert at.http.get(f"/v1/{markers.word()}").status_code == 404
    assert at.http.get("/v1/customers", params={markers.email(): markers.word()}).status_code in (200, 422)
    broken = f'{{"name": "{markers.word()}'
    assert at.http.post(
        "/v1/customers", content=broken, headers={"content-type": "application/json"}
    ).is_error
    key = {"Idempotency-Key": markers.word()}
    assert at.http.post("/v1/customers", json=person(markers), headers=key).status_code == 201
    assert at.http.post("/v1/customers", json=person(markers), headers=key).status_code == 409
    headers = {
        "X-Correlation-Id": markers.word(),
        "traceparent": markers.word(),
        "User-Agent": markers.word(),
    }
    assert at.http.post("/v1/customers", json=person(markers), headers=headers).status_code in (201, 400, 422)
    unknown = {"Authorization": f"Bearer {markers.word()}"}
    assert at.http.get("/v1/customers", headers=unknown).status_code == 401


def blunder_about_rights(at: Site, markers: Markers, subject_id: str) -> None:
    """The same at the doors of those who answer for the data."""
    at.post("/v1/privacy-requests", {"kind": markers.word(), "channel": "email"}, 422)
    asked = {"kind": "access", "channel": "email", "text": markers.word()}
    at.post("/v1/privacy-requests", {**asked, "subject_id": markers.word()}, 422)
    at.post("/v1/privacy-requests", {**asked, "received_on": "2190-01-01"}, 422)
    at.post(f"/v1/privacy-requests/{subject_id}/refuse", {"ground": "excessive"}, 404)
    consent = {"purpose": "unheard-of", "wording_version": "1", "source": "web", "evidence": markers.word()}
    at.post(f"/v1/subjects/{subject_id}/consents", consent, 422)
    at.post("/v1/holds", {"matter": "m", "description": markers.word(), "subject_ids": [markers.word()]}, 422)
    at.post(f"/v1/subjects/{markers.word()}/restriction", {"cause": "unlawful"}, 422)
    at.ask("/v1/exports", {"what": "view", "view": markers.word()}, 422)
    at.ask("/v1/exports", {"what": "view", "view": "customers", "filters": {"source": [markers.word()]}}, 422)
    for name in ("q", markers.email()):
        filters = {name: markers.word()}
        at.ask("/v1/exports", {"what": "view", "view": "customers", "filters": filters}, 422)
    at.ask("/v1/exports", {"what": "record-timeline", "id": markers.word()}, 422)
    for path in ("timeline", f"subjects/{subject_id}/timeline", "customers"):
        for name in ("cursor", "types", "as_of", "from"):
            at.sealed(f"/v1/{path}", 200, 422, **{name: markers.word()})
    at.sealed(f"/v1/subjects/{subject_id}/dossier", 422, format=markers.word())
    for name in ("On-Behalf-Of", "Purpose", "Ground"):
        named = {f"Lethe-{name}": f"{markers.word()}@"}
        assert at.http.get("/v1/customers", headers=named).status_code == 422
