"""Markers in all that those write who answer for the data: requests, consents, holds, erasures, policies."""

import time
from dataclasses import dataclass
from typing import Any

from tests.faults.marked_site import Markers, Site
from tests.faults.marked_use import person

ACTIVITY = {
    "code": "newsletter",
    "name": "Newsletter",
    "description": "Monthly news by e-mail.",
    "lawful_basis": "consent",
    "consent_needed": True,
    "categories": ["contact"],
    "subject_kinds": ["customers"],
}


@dataclass(frozen=True, slots=True)
class Cared:
    """The people and papers whom the rights were used on; they are read afterwards."""

    kept: dict[str, Any]
    restricted: dict[str, Any]
    request_id: str
    hold_id: str
    consent_id: str
    activity_id: str
    policy_id: str


def use_rights(at: Site, markers: Markers) -> Cared:
    kept, restricted = (at.post("/v1/customers", person(markers)) for _ in range(2))
    activity = at.post("/v1/activities", ACTIVITY)["id"]
    policy = use_the_register(at, markers, activity)
    consent = use_consents(at, markers, kept["subject_id"])
    use_restriction(at, markers, restricted)
    hold = use_holds(at, markers, kept["subject_id"], restricted["subject_id"])
    return Cared(
        kept, restricted, use_requests(at, markers, kept["subject_id"]), hold, consent, activity, policy
    )


def use_the_register(at: Site, markers: Markers, activity: str) -> str:
    changed = {name: it for name, it in ACTIVITY.items() if name != "code"} | {"recipients": [markers.public]}
    at.post(f"/v1/activities/{activity}/change", changed)
    other = at.post("/v1/activities", ACTIVITY | {"code": "survey"})
    at.post(f"/v1/activities/{other['id']}/retire", {})
    policy = {"kind": "ticket", "category": "conversation", "days": 1095, "after": ["ticket.closed"]}
    made = at.post("/v1/retention", policy | {"legal_reason": markers.public})
    of_leads = policy | {"kind": "lead", "after": ["lead.lost"], "legal_reason": "x"}
    withdrawn = at.post("/v1/retention", of_leads)
    at.post(f"/v1/retention/{withdrawn['id']}/withdraw", {})
    found: str = made["id"]
    return found


def use_consents(at: Site, markers: Markers, subject_id: str) -> str:
    given = {"purpose": "newsletter", "wording_version": "1", "source": "web", "evidence": markers.word()}
    made = at.post(f"/v1/subjects/{subject_id}/consents", given)
    other = at.post(f"/v1/subjects/{subject_id}/consents", given | {"channel": "email"})
    at.post(f"/v1/consents/{other['id']}/withdraw", {})
    found: str = made["id"]
    return found


def use_restriction(at: Site, markers: Markers, who: dict[str, Any]) -> None:
    """Refused without a ground, and done on one; another's is lifted."""
    at.post(f"/v1/subjects/{who['subject_id']}/restriction", {"cause": "accuracy_contested"})
    note = {"text": markers.word()}
    at.post(f"/v1/customers/{who['id']}/write-note", note, 409)
    at.post(f"/v1/customers/{who['id']}/write-note", note, ground="legal_claims")
    assert at.sealed(f"/v1/customers/{who['id']}", 403).is_error
    lifted = at.post("/v1/customers", person(markers))["subject_id"]
    at.post(f"/v1/subjects/{lifted}/restriction", {"cause": "unlawful"})
    at.post(f"/v1/subjects/{lifted}/restriction/lift", {})


def use_holds(at: Site, markers: Markers, *covered: str) -> str:
    """A hold that stands in the way of an erasure, which is refused; and one that stays."""
    description = {"description": markers.word()}
    made = at.post("/v1/holds", {"matter": markers.public, "subject_ids": [covered[0]], **description})
    hold = f"/v1/holds/{made['id']}"
    at.post(f"{hold}/cover", {"subject_ids": [covered[1]]})
    at.post(f"{hold}/release", {"subject_ids": [covered[1]]})
    at.post(f"/v1/subjects/{covered[0]}/erasure", {"ground": "objection"}, 409)
    found: str = made["id"]
    return found


def use_requests(at: Site, markers: Markers, subject_id: str) -> str:
    """Of somebody unknown; withdrawn, refused and late ones; and one that stays open."""

    def receive(kind: str, whose: str | None = subject_id) -> str:
        asked = {"kind": kind, "channel": "email", "subject_id": whose, "text": markers.word()}
        received: str = at.post("/v1/privacy-requests", asked)["id"]
        at.post(f"/v1/privacy-requests/{received}/verify-identity", {"proof": "called_back"})
        return received

    receive("access", None)
    at.post(f"/v1/privacy-requests/{receive('rectification')}/withdraw", {})
    at.post(f"/v1/privacy-requests/{receive('objection')}/refuse", {"ground": "excessive"})
    late = {"kind": "portability", "channel": "email", "received_on": "2026-01-02", "text": markers.word()}
    at.post("/v1/privacy-requests", late)
    open_one = receive("access")
    at.post(f"/v1/privacy-requests/{open_one}/extend", {"months": 1, "ground": "complexity"})
    return open_one


def fulfil(at: Site, markers: Markers, request_id: str) -> None:
    """By the dossier that was made for it meanwhile."""
    at.post(f"/v1/privacy-requests/{request_id}/fulfil", {})


def erase(at: Site, subject_id: str) -> str:
    done = at.post(f"/v1/subjects/{subject_id}/erasure", {"ground": "consent_withdrawn"})
    seen = at.sealed(f"/v1/subjects/{subject_id}", at_least=done["position"])
    assert seen.json()["erased"]
    erasure: str = done["id"]
    return erasure


def erase_in_every_way(at: Site, markers: Markers, cared: Cared, people: list[str]) -> str:
    """At once, by category, by request under a hold that is lifted; then acknowledged and certified."""
    partly = {"ground": "objection", "categories": ["contact"]}
    at.post(f"/v1/subjects/{people[0]}/erasure", partly)
    erasure = [erase(at, it) for it in people[1:]][-1]
    asked = {"kind": "erasure", "channel": "web", "subject_id": cared.kept["subject_id"]}
    request = at.post("/v1/privacy-requests", asked | {"text": markers.word()})["id"]
    at.post(f"/v1/privacy-requests/{request}/verify-identity", {"proof": "in_person"})
    assert at.post(f"/v1/privacy-requests/{request}/fulfil", {}, 202)["held"]
    at.post(f"/v1/holds/{cared.hold_id}/lift", {})
    _wait_until_erased(at, cared.kept["subject_id"])
    at.post(f"/v1/erasures/{erasure}/acknowledge", {"subscriber": "newsletter"})
    at.sealed(f"/v1/erasures/{erasure}")
    at.sealed(f"/v1/erasures/{erasure}/certificate", 200)
    at.sealed(f"/v1/customers/{cared.kept['id']}", 410)
    only_reasons_are_left(at, f"/v1/subjects/{cared.kept['subject_id']}/dossier")
    return erasure


def only_reasons_are_left(at: Site, path: str) -> None:
    """Why we did what we did with an erased person's request is ours to account for; nothing else is left."""
    answer = at.http.get(path)
    assert answer.status_code == 200, answer.text
    text = answer.text
    for reason in at.reasons:
        text = text.replace(reason, "")
    at.search.data(text.encode(), f"the answer of {path}")


def _wait_until_erased(at: Site, subject_id: str) -> None:
    deadline = time.monotonic() + 60
    while not at.sealed(f"/v1/subjects/{subject_id}").json()["erased"]:
        assert time.monotonic() < deadline, "the erasure that was held is not carried out"
        time.sleep(0.2)
