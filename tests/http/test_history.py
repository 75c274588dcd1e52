"""History over HTTP: who changed what from what to what, and what differs between two moments."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.http.samples import activity, person, ticket
from tests.http.stack import Running


def moment(days: float) -> str:
    """So many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def lead(**more: Any) -> dict[str, Any]:
    return {"source": "fair", "name": "Maya Brandt", "occurred_at": moment(10)} | more


@pytest.fixture
def worked(api: httpx.Client, created: Any) -> dict[str, Any]:
    """A lead that was contacted, then qualified."""
    made: dict[str, Any] = created("leads", lead())
    path = f"/v1/leads/{made['id']}"
    api.post(f"{path}/contact", json={"occurred_at": moment(8), "reason": "a call back"})
    value = {"amount": "900.00", "currency": "EUR"}
    done = api.post(f"{path}/qualify", json={"value": value, "occurred_at": moment(6)})
    assert done.status_code == 200, done.text
    return made | {"path": path, "position": done.json()["position"]}


def test_an_entry_says_what_changed_who_did_it_and_for_whom(api: httpx.Client, created: Any) -> None:
    made = created("leads", lead())
    api.post("/v1/activities", json=activity(code="sales"))
    principal = str(uuid4())
    headers = {"Lethe-On-Behalf-Of": principal, "Lethe-Purpose": "sales", "Lethe-Ground": "consent"}
    api.post(f"/v1/leads/{made['id']}/contact", json={"note": "called"}, headers=headers)
    first, second = api.get(f"/v1/leads/{made['id']}/timeline").json()["items"]
    assert {"field": "name", "from": None, "to": "Maya Brandt"} in first["changes"]
    assert second["changes"][0] == {"field": "stage", "from": "new", "to": "engaged"}
    assert (second["on_behalf_of"], second["purpose"], second["ground"]) == (principal, "sales", "consent")
    assert (second["caused"], second["restricted"]) == ([], False)
    assert second["event_id"] != first["event_id"]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ({"types": "lead.contacted"}, ["lead.contacted"]),
        ({"types": ["lead.contacted", "lead.qualified"]}, ["lead.contacted", "lead.qualified"]),
        ({"kinds": "ticket"}, []),
        ({"occurred_from": 9, "occurred_until": 7}, ["lead.contacted"]),
        ({"recorded_until": 1}, []),
    ],
)
def test_a_timeline_is_filtered(
    api: httpx.Client, worked: dict[str, Any], query: dict[str, Any], types: list[str]
) -> None:
    asked = {name: moment(it) if isinstance(it, int) else it for name, it in query.items()}
    answer = api.get(f"{worked['path']}/timeline", params={**asked, "at_least": worked["position"]})
    assert [it["type"] for it in answer.json()["items"]] == types


def test_a_filtered_timeline_goes_on_by_its_cursor(api: httpx.Client, worked: dict[str, Any]) -> None:
    query: dict[str, Any] = {"kinds": "lead", "limit": 2, "at_least": worked["position"]}
    first = api.get(f"{worked['path']}/timeline", params=query).json()
    rest = api.get(f"{worked['path']}/timeline", params={**query, "cursor": first["next"]}).json()
    assert [it["version"] for it in first["items"] + rest["items"]] == [1, 2, 3]
    assert rest["next"] is None


def test_what_an_actor_did_is_told_by_itself(server: Running, api: httpx.Client) -> None:
    actor = str(uuid4())
    made = api.post("/v1/tokens", json={"name": "bot", "scopes": ["write"], "actor_id": actor}).json()
    header = {"Authorization": f"Bearer {made['token']}"}
    answers = [api.post("/v1/customers", json=person(), headers=header).json() for _ in range(3)]
    query = {"limit": 2, "at_least": answers[-1]["position"]}
    first = api.get(f"/v1/actors/{actor}/timeline", params=query).json()
    rest = api.get(f"/v1/actors/{actor}/timeline", params={"cursor": first["next"]}).json()
    told = first["items"] + rest["items"]
    assert [it["record_id"] for it in told] == [it["id"] for it in answers]
    assert api.get(f"/v1/actors/{uuid4()}/timeline").json() == {"items": [], "next": None}


def test_a_period_is_told_by_when_it_was_recorded_or_by_when_it_happened(
    api: httpx.Client, worked: dict[str, Any]
) -> None:
    entries = api.get(f"{worked['path']}/timeline").json()["items"]
    api.get(worked["path"], params={"at_least": worked["position"]})
    around: dict[str, Any] = {"from": entries[0]["recorded_at"], "limit": 200, "kinds": "lead"}
    recorded = api.get("/v1/timeline", params=around).json()["items"]
    assert [it for it in recorded if it["record_id"] == worked["id"]] == entries
    happened: dict[str, Any] = {"from": moment(8.5), "to": moment(7.5), "axis": "occurred", "limit": 200}
    told = api.get("/v1/timeline", params=happened).json()["items"]
    assert [it["type"] for it in told if it["record_id"] == worked["id"]] == ["lead.contacted"]
    page = api.get("/v1/timeline", params={**happened, "limit": 1}).json()
    following = api.get("/v1/timeline", params={**happened, "limit": 199, "cursor": page["next"]}).json()
    assert page["items"] + following["items"] == told


@pytest.mark.parametrize(
    "query",
    [{"axis": "recorded", "recorded_from": 1}, {"cursor": "AAAA"}, {"cursor": "_" * 22}, {"types": "x"}],
)
def test_a_period_that_makes_no_sense_is_refused(api: httpx.Client, query: dict[str, Any]) -> None:
    asked = {name: moment(it) if isinstance(it, int) else it for name, it in query.items()}
    assert api.get("/v1/timeline", params=asked).status_code == 422


def test_a_record_is_compared_at_two_moments_on_both_axes(api: httpx.Client, worked: dict[str, Any]) -> None:
    def differences(**query: Any) -> dict[str, Any]:
        answer = api.get(f"{worked['path']}/diff", params=query)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    true = differences(**{"from": moment(9), "to": moment(7)})
    assert (true["version_from"], true["version_to"]) == (1, 2)
    assert {"field": "stage", "from": "new", "to": "engaged"} in true["changes"]
    known = differences(**{"from": moment(9), "to": moment(0), "axis": "known_at"})
    assert (known["version_from"], known["version_to"]) == (0, 3)
    assert {"field": "value", "from": None, "to": "900.00"} in known["changes"]
    nothing = api.get(f"{worked['path']}/diff", params={"from": moment(30), "to": moment(29)})
    assert nothing.status_code == 404
    as_ticket = api.get(f"/v1/tickets/{worked['id']}/diff", params={"from": moment(9), "to": moment(1)})
    assert as_ticket.status_code == 404


def test_a_correction_backdated_today_changes_what_was_true_never_what_was_known(
    api: httpx.Client, created: Any
) -> None:
    made = created("tickets", ticket(impact="low", urgency="low", occurred_at=moment(20)))
    path = f"/v1/tickets/{made['id']}"
    between, before_correction = moment(5), datetime.now(UTC).isoformat()
    was = api.get(path, params={"as_of": between, "known_at": before_correction}).json()
    done = api.post(
        f"{path}/prioritise", json={"impact": "high", "urgency": "high", "occurred_at": moment(10)}
    )
    assert done.status_code == 200, done.text
    true = api.get(path, params={"as_of": between}).json()
    known = api.get(path, params={"as_of": between, "known_at": before_correction}).json()
    assert (was["impact"], true["impact"], known["impact"]) == ("low", "high", "low")
    assert known == was


def test_a_restricted_person_is_shown_on_a_ground_alone(api: httpx.Client, created: Any) -> None:
    begun = moment(0)
    made = created("leads", lead())
    imposed = api.post(f"/v1/subjects/{made['subject_id']}/restriction", json={"cause": "accuracy_contested"})
    assert imposed.status_code == 200, imposed.text
    now = {"from": moment(11), "to": moment(0)}
    of_lead, of_person = f"/v1/leads/{made['id']}", f"/v1/subjects/{made['subject_id']}"
    for path in (f"{of_lead}/timeline", f"{of_lead}/diff", f"{of_person}/timeline"):
        query: dict[str, Any] = {"at_least": imposed.json()["position"]}
        query |= now if path.endswith("diff") else {}
        refused = api.get(path, params=query)
        allowed = api.get(path, params=query, headers={"Lethe-Ground": "subject_rights"})
        assert (refused.status_code, allowed.status_code) == (403, 200), path
        assert "Maya Brandt" in allowed.text
    period: dict[str, Any] = {"from": begun, "limit": 200, "types": "lead.captured"}
    told = api.get("/v1/timeline", params=period).json()["items"]
    (withheld,) = [it for it in told if it["record_id"] == made["id"]]
    assert (withheld["restricted"], withheld["personal"]["name"]) == (True, None)
