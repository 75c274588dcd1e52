"""What subscribers open over HTTP: what they are granted now, and never what is erased or withheld."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.http.samples import activity, organisation, person
from tests.http.stack import Running
from tests.http.subscribing import ALL, SUBSCRIBERS, Subscribing, subscribing

SHE = person(email="maya@example.com", reason="She asked")


@pytest.fixture
def mirror(api: httpx.Client) -> Iterator[Subscribing]:
    with subscribing(api, *ALL) as it:
        yield it


def erase(api: httpx.Client, subject_id: str, *categories: str) -> dict[str, Any]:
    body = {"ground": "consent_withdrawn", "categories": categories}
    answer = api.post(f"/v1/subjects/{subject_id}/erasure", json=body)
    assert answer.status_code == 201, answer.text
    done: dict[str, Any] = answer.json()
    return done


def test_what_is_granted_is_opened_and_the_rest_withheld(api: httpx.Client, created: Any) -> None:
    made = created("customers", SHE)
    with subscribing(api, "identity", "conversation") as mirror:
        [it] = mirror.unseal(made["position"])
    values = {"name": "Maya Brandt", "email": None, "reason": "She asked"}
    assert it == {"position": made["position"], "values": values, "erased": [], "withheld": ["contact"]}


def test_events_are_answered_in_the_order_asked_for_each_once(mirror: Subscribing, created: Any) -> None:
    ann, bea = created("customers", person(name="Ann")), created("customers", person(name="Bea"))
    found = mirror.unseal(bea["position"], ann["position"], bea["position"])
    assert [it["values"]["name"] for it in found] == ["Bea", "Ann"]


def test_an_event_without_personal_data_has_no_values(mirror: Subscribing, created: Any) -> None:
    made = created("customers", organisation())
    [it] = mirror.unseal(made["position"])
    assert it == {"position": made["position"], "values": {}, "erased": [], "withheld": []}


def test_a_position_that_was_drawn_in_vain_has_no_values(
    server: Running, mirror: Subscribing, created: Any
) -> None:
    async def drawn() -> int:
        async with server.system.pool.connection() as connection:
            found = await connection.execute("SELECT nextval('log.positions')")
            row = await found.fetchone()
            assert row is not None
            return int(row[0])

    gap = server.call(drawn())
    made = created("customers", person())
    assert [it["values"] for it in mirror.unseal(gap, made["position"])] == [{}, {"name": "Maya Brandt"}]


def test_a_position_that_the_log_has_not_reached_is_not_answered(mirror: Subscribing, created: Any) -> None:
    made = created("customers", person())
    answer = mirror.client.post("/v1/unseal", json={"positions": [made["position"], 2**40]})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:lethe:problem:position-not-reached")


@pytest.mark.parametrize("positions", [[], [0], [-1], [2**63], list(range(1, 202)), ["x"], [1.5]])
def test_positions_that_make_no_sense_are_refused(mirror: Subscribing, positions: list[Any]) -> None:
    answer = mirror.client.post("/v1/unseal", json={"positions": positions})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:lethe:problem:malformed")


def test_an_erasure_is_answered_on_the_next_call(
    api: httpx.Client, mirror: Subscribing, created: Any
) -> None:
    made = created("customers", SHE)
    assert mirror.unseal(made["position"])[0]["values"]["name"] == "Maya Brandt"
    erase(api, made["subject_id"])
    [it] = mirror.unseal(made["position"])
    assert it["values"] == {"name": None, "email": None, "reason": None}
    assert (it["erased"], it["withheld"]) == (["contact", "conversation", "identity"], [])


def test_an_erasure_of_some_categories_leaves_the_others(
    api: httpx.Client, mirror: Subscribing, created: Any
) -> None:
    made = created("customers", SHE)
    erase(api, made["subject_id"], "contact")
    [it] = mirror.unseal(made["position"])
    assert it["values"] == {"name": "Maya Brandt", "email": None, "reason": "She asked"}
    assert (it["erased"], it["withheld"]) == (["contact"], [])


def test_what_is_erased_is_called_so_also_to_one_that_was_never_granted_it(
    api: httpx.Client, created: Any
) -> None:
    made = created("customers", SHE)
    erase(api, made["subject_id"], "contact")
    with subscribing(api, "identity") as mirror:
        [it] = mirror.unseal(made["position"])
    assert (it["erased"], it["withheld"]) == (["contact"], ["conversation"])


def test_a_restricted_person_is_withheld_whatever_ground_is_given(
    api: httpx.Client, mirror: Subscribing, created: Any
) -> None:
    made, other = created("customers", SHE), created("customers", person(name="Bea"))
    path = f"/v1/subjects/{made['subject_id']}/restriction"
    assert api.post(path, json={"cause": "accuracy_contested"}).status_code == 200
    body = {"positions": [made["position"], other["position"]]}
    answer = mirror.client.post("/v1/unseal", json=body, headers={"Lethe-Ground": "legal_claims"})
    one, two = answer.json()["items"]
    assert set(one["values"].values()) == {None}
    assert (one["erased"], one["withheld"]) == ([], ["contact", "conversation", "identity"])
    assert two["values"] == {"name": "Bea"}
    api.post(f"{path}/lift", json={})
    assert mirror.unseal(made["position"])[0]["withheld"] == []


def test_a_revocation_counts_on_the_next_call(mirror: Subscribing, created: Any) -> None:
    made = created("customers", SHE)
    assert mirror.unseal(made["position"])[0]["withheld"] == []
    mirror.command("revoke", categories=["contact"])
    assert mirror.unseal(made["position"])[0]["withheld"] == ["contact"]
    mirror.command("revoke")
    assert mirror.unseal(made["position"])[0]["withheld"] == ["contact", "conversation", "identity"]
    mirror.command("grant", categories=["contact"])
    assert mirror.unseal(made["position"])[0]["values"]["email"] == "maya@example.com"


def test_one_that_ended_opens_nothing_with_any_token(
    server: Running, api: httpx.Client, created: Any
) -> None:
    made = created("customers", person())
    with subscribing(api, "identity") as mirror:
        mirror.command("end")
        assert mirror.client.post("/v1/unseal", json={"positions": [made["position"]]}).status_code == 401
        # Also where a token was made past the register.
        body = {"name": "x", "scopes": ["subscribe"], "actor_id": mirror.id}
        header = {"Authorization": f"Bearer {api.post('/v1/tokens', json=body).json()['token']}"}
        answer = mirror.client.post("/v1/unseal", json={"positions": [made["position"]]}, headers=header)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:lethe:problem:not-a-subscriber")


def test_who_is_no_subscriber_opens_nothing(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    answer = api.post("/v1/unseal", json={"positions": [made["position"]]})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:lethe:problem:not-a-subscriber")


def test_each_use_is_noted_with_the_purpose_of_its_grant(api: httpx.Client, created: Any) -> None:
    made = created("customers", SHE)
    with subscribing(api, "identity") as mirror:
        mirror.command("grant", categories=["contact"], purpose="post")
        mirror.unseal(made["position"])
        answer = api.get(f"/v1/actors/{mirror.id}/accesses")
        while not answer.json()["items"]:  # within a second
            answer = api.get(f"/v1/actors/{mirror.id}/accesses")
        mirror.command("revoke")
        mirror.unseal(made["position"])
    found = {it["purpose"]: it for it in answer.json()["items"]}
    assert {purpose: it["categories"] for purpose, it in found.items()} == {
        "support": ["identity"],
        "post": ["contact"],
    }
    assert {(it["operation"], it["count"], it["subject_count"]) for it in found.values()} == {
        ("unseal_events", 1, 1)
    }
    of_her = api.get(f"/v1/subjects/{made['subject_id']}/accesses").json()["items"]
    assert {(it["actor"], it["subscriber"]) for it in of_her} == {(mirror.id, mirror.name)}
    assert len(of_her) == 2, "nothing was shown after the revocation, and so nothing noted"


def test_a_purpose_that_needs_consent_opens_only_who_gave_it(api: httpx.Client, created: Any) -> None:
    news = activity(lawful_basis="consent", consent_needed=True)
    assert api.post("/v1/activities", json=news).status_code == 201
    ann, bea = created("customers", person(name="Ann")), created("customers", person(name="Bea"))
    consent = {"purpose": news["code"], "wording_version": "1", "source": "web form"}
    given = api.post(f"/v1/subjects/{ann['subject_id']}/consents", json=consent)
    assert given.status_code == 201, given.text
    with subscribing(api, "identity", purpose=news["code"]) as mirror:
        found = mirror.unseal(ann["position"], bea["position"])
        assert [it["values"]["name"] for it in found] == ["Ann", None]
        assert [it["withheld"] for it in found] == [[], ["identity"]]
        api.post(f"/v1/consents/{given.json()['id']}/withdraw", json={})
        assert mirror.unseal(ann["position"])[0]["withheld"] == ["identity"]


def test_a_purpose_that_is_retired_opens_nothing(api: httpx.Client, created: Any) -> None:
    made, orders = created("customers", person()), activity()
    entry = api.post("/v1/activities", json=orders).json()
    with subscribing(api, "identity", purpose=orders["code"]) as mirror:
        assert mirror.unseal(made["position"])[0]["withheld"] == []
        api.post(f"/v1/activities/{entry['id']}/retire", json={})
        assert mirror.unseal(made["position"])[0]["withheld"] == ["identity"]


def test_a_name_is_given_once(api: httpx.Client) -> None:
    name = f"mirror-{uuid4().hex[:12]}"
    body = {"name": name, "purpose": "support"}
    first, again = api.post(SUBSCRIBERS, json=body), api.post(SUBSCRIBERS, json=body)
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["type"] == "urn:lethe:problem:subscriber-already-registered"
    api.post(f"{SUBSCRIBERS}/{first.json()['id']}/end", json={})
    ended = api.post(SUBSCRIBERS, json=body)
    assert (ended.status_code, ended.json()["type"]) == (409, "urn:lethe:problem:subscriber-has-ended")
