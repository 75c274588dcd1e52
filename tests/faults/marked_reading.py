"""Reads and hands out everything that there is, by HTTP and by the command line."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg

from tests.faults.marked_rights import Cared
from tests.faults.marked_site import Markers, Site

PUBLIC: Final = """
/v1/privacy-requests /v1/restrictions /v1/retention /v1/retention/plan /v1/activities /v1/register
/v1/credentials /v1/accesses /v1/accesses/unusual /v1/pipeline /v1/queues /v1/analytics/funnel
/v1/analytics/cycle_time /v1/analytics/win_rate /v1/analytics/ticket_times /v1/analytics/backlog
/v1/audit/key /v1/audit/checkpoint /v1/audit/checkpoints /v1/audit/bundle /v1/audit/tiles/0/0
/v1/tokens /v1/schemas/dossier.json /v1/schemas /v1/schemas/lead.won/1 /openapi.json /asyncapi.json
/metrics /healthz /readyz
"""
JOBS: Final = (
    "privacy-requests consents retention unusual-access access-retention key-rotation backup-retention"
)
REPORT_SECONDS: Final = 60


def declared(markers: Markers) -> dict[str, str]:
    """For whom and why: ids and codes, with the reading that is to be accounted for."""
    return {"Lethe-On-Behalf-Of": str(uuid4()), "Lethe-Purpose": "newsletter", "Lethe-Ground": "legal_claims"}


def read_what_shows(at: Site, markers: Markers, cared: Cared, people: dict[str, dict[str, Any]]) -> None:
    """Every reading that shows personal values, with markers in its questions where it takes words."""
    headers = declared(markers)
    now = datetime.now(UTC).isoformat()
    moments = {"from": "2026-01-01T00:00:00Z", "to": now}
    for kind, made in people.items():
        one = f"/v1/{kind}/{made['id']}"
        at.shown(f"/v1/{kind}", params={"limit": 50})
        at.shown(one, headers=headers)
        at.shown(f"{one}/timeline", headers=headers)
        if kind != "members":
            at.shown(f"{one}/diff", params=moments, headers=headers)
            at.shown(f"/v1/{kind}", params={"as_of": now, "known_at": now})
    restricted = f"/v1/customers/{cared.restricted['id']}"
    at.shown(restricted, headers=headers)
    at.shown(f"/v1/subjects/{cared.restricted['subject_id']}/timeline", headers=headers)
    at.sealed(restricted, 403)
    at.sealed(f"{restricted}/timeline", 403)
    actor = at.shown(f"{restricted}/timeline", headers=headers).json()["items"][0]["actor"]
    for path in (f"/v1/subjects/{cared.kept['subject_id']}/timeline", f"/v1/actors/{actor}/timeline"):
        at.shown(path, params={"limit": 200}, headers=headers)
    for axis in ("recorded", "occurred"):
        at.shown("/v1/timeline", params={**moments, "axis": axis, "limit": 200})
    at.shown("/v1/consents")
    at.shown(f"/v1/consents/{cared.consent_id}")
    at.shown(f"/v1/holds/{cared.hold_id}")
    at.shown("/v1/holds")
    at.shown(f"/v1/privacy-requests/{cared.request_id}")
    search_for_people(at, markers)


def search_for_people(at: Site, markers: Markers) -> None:
    for word in (markers.word(), markers.secret, "Maya"):
        for kind in ("customers", "members"):
            assert at.http.get(f"/v1/{kind}", params={"q": word}).status_code == 200
    at.ask("/v1/customers/lookup", {"email": markers.email()}, 200)
    at.ask("/v1/customers/lookup", {"phone": markers.phone()}, 200)


def read_what_does_not(at: Site, cared: Cared) -> None:
    """Every reading about people that shows nothing of them."""
    for path in PUBLIC.split():
        at.sealed(path)
    for id in (cared.kept["subject_id"], cared.restricted["subject_id"]):
        at.sealed(f"/v1/subjects/{id}")
        assert at.sealed(f"/v1/subjects/{id}/accesses").json()["items"]
    at.sealed(f"/v1/retention/{cared.policy_id}/history")
    at.sealed(f"/v1/activities/{cared.activity_id}")
    feed = {"items": [None], "next": 0}
    while feed["items"]:
        feed = at.sealed("/v1/events", after=feed["next"], limit=1000).json()
    asked = {"purpose": "newsletter", "subject_ids": [cared.kept["subject_id"]]}
    assert at.ask("/v1/lawfulness", asked)["items"][0]["allowed"]


def open_as_a_subscriber(at: Site, markers: Markers, cared: Cared) -> None:
    """What is granted comes out; why it was granted, and what is withheld, does not."""
    one = f"/v1/subscribers/{at.post('/v1/subscribers', {'name': 'mirror', 'purpose': 'newsletter'})['id']}"
    at.post(f"{one}/grant", {"categories": ["identity", "contact", "conversation"]})
    header = {"Authorization": f"Bearer {at.ask(f'{one}/tokens', {})['token']}"}
    kept, restricted = ({"positions": [it["position"]]} for it in (cared.kept, cared.restricted))
    at.shown("/v1/unseal", "POST", json=kept, headers=header)
    withheld = at.http.post("/v1/unseal", json=restricted, headers=header)
    at.search.data(withheld.content, "what is withheld from a subscriber")
    wrong = at.http.post("/v1/unseal", json={"positions": [markers.word()]}, headers=header)
    last = at.post(f"{one}/revoke", {"categories": ["contact"]})
    at.sealed("/v1/subscribers", at_least=last["position"])
    at.sealed(one)
    at.shown(f"{one}/timeline")
    assert (withheld.status_code, wrong.status_code) == (200, 422)
    assert withheld.json()["items"][0]["withheld"]


def hand_out(at: Site, cared: Cared, record_id: str) -> None:
    """Dossiers and exports, in every form; and their proofs, which show nothing."""
    dossier = f"/v1/subjects/{cared.kept['subject_id']}/dossier"
    for format in ("json", "html"):
        for form in ("access", "portability"):
            at.shown(dossier, params={"format": format, "form": form, "request_id": cared.request_id})
    subject = cared.restricted["subject_id"]
    actor = at.sealed("/v1/accesses").json()["items"][0]["actor"]
    wanted: list[dict[str, Any]] = [
        {"what": "timeline"},
        {"what": "record-timeline", "id": record_id},
        {"what": "subject-timeline", "id": subject},
        {"what": "actor-timeline", "id": actor},
        *({"what": "view", "view": view} for view in ("customers", "leads", "tickets")),
        {"what": "view", "view": "leads", "filters": {"as_of": datetime.now(UTC).isoformat()}},
    ]
    for what in wanted:
        for format in ("jsonl", "csv", "html") if what in wanted[:1] + wanted[4:5] else ("csv",):
            body = what | {"format": format}
            made = at.shown("/v1/exports", "POST", json=body, headers={"Lethe-Ground": "legal_claims"})
    export = made.headers["lethe-export"]
    assert at.sealed(f"/v1/exports/{export}").json()["state"] == "made"
    at.sealed(f"/v1/exports/{export}/manifest")
    abandon_an_export(at)


def abandon_an_export(at: Site) -> None:
    """Its reader goes away in the middle."""
    with at.http.stream("POST", "/v1/exports", json={"what": "timeline"}) as answer:
        next(answer.iter_bytes(64))


def make_a_report(at: Site) -> None:
    """The log is held back so long that a view of another time becomes a report."""
    with psycopg.connect(at.database_url()) as connection:
        connection.execute("LOCK TABLE log.events IN ACCESS EXCLUSIVE MODE")
        asked = at.http.get("/v1/customers", params={"as_of": datetime.now(UTC).isoformat(), "limit": 200})
    assert asked.status_code == 202, asked.text
    report = asked.headers["location"]
    deadline = time.monotonic() + REPORT_SECONDS
    while at.sealed(report).json()["state"] == "running":
        assert time.monotonic() < deadline, "the report is not made"
        time.sleep(0.1)
    at.shown(f"{report}/result")


def use_the_command_line(at: Site, cared: Cared, record_id: str) -> Path:
    """Readings into the caller's folder, and all that works on the whole; the backup it made."""
    mine, handed = at.caller, at.folder / "handed-out"
    subject = cared.kept["subject_id"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    at.lethe("export", "record-timeline", str(mine / "record.csv"), "--id", record_id)
    at.lethe("export", "timeline", str(mine / "all.jsonl"), "--ground", "legal_claims")
    at.lethe("view", "customers", "--export", str(mine / "customers.html"))
    at.lethe("view", "leads", "--as-of", now, shown=True)
    for format in ("json", "html"):
        out = str(mine / f"dossier.{format}")
        at.lethe("subject", "export", subject, "--out", out, "--format", format)
    at.lethe("verify", "--export", str(mine / "record.csv"), "--manifest", str(mine / "record.csv.proof"))
    for name in JOBS.split():
        at.lethe("schedule", "run", name)
    for words in ("schedule status", "privacy list", "retention plan", "retention apply", "ledger check"):
        at.lethe(*words.split())
    backup = back_up(at)
    at.lethe("rebuild")
    at.lethe("keys", "rotate")
    at.lethe("keys", "status")
    at.lethe("verify")
    at.lethe("verify", "--from", "0", "--to", "40")
    at.lethe("audit", "register", "--form", "html")
    at.lethe("audit", "export", "--out", str(handed / "bundle.zip"))
    at.lethe("audit", "export", "--record", record_id, "--out", str(handed / "record.zip"))
    at.lethe("verify", "--bundle", str(handed / "bundle.zip"))
    return backup


def back_up(at: Site) -> Path:
    """Made, restored elsewhere to be verified, listed; nothing is left of the restoring."""
    identity = at.folder / "identity"
    at.lethe("backup", "keygen", str(identity))
    recipient = identity.read_text().split("public key: ")[1].split()[0]
    at.lethe("backup", "make", "--recipient", recipient)
    [backup] = (at.folder / "backups").glob("*.age")
    before = set(at.temporary.rglob("*"))
    at.lethe("backup", "verify", str(backup), "--identity", str(identity))
    assert set(at.temporary.rglob("*")) == before
    at.lethe("backup", "list")
    at.lethe("backup", "prune", "--delete")
    return backup


def inspect_and_certify(at: Site, erasure: str) -> None:
    """What is handed to others who ask whether all is well. Something is late here, so it is not."""
    handed = at.folder / "handed-out"
    at.lethe("audit", "inspect", "--out", str(handed / "inspection.html"), status=1)
    at.lethe("certificate", erasure, "--out", str(handed / "certificate.note"))
    at.lethe("verify", "--certificate", str(handed / "certificate.note"))
