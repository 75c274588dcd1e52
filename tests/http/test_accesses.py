"""Whoever is shown personal data is written down; restricted and erased data is not shown."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from domain.model import Category
from infra.access import Scope, digest
from infra.accesslog import BEHIND_SECONDS_MAX
from infra.http.reading import cursor_of
from tests.http.samples import organisation, person, ticket
from tests.http.stack import Running, running

Who = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def who_saw(api: httpx.Client) -> Who:
    """The accesses to a subject's data, once there are so many: durable within a second."""

    def asking(subject_id: str, *, at_least: int = 1, of: str = "subjects") -> list[dict[str, Any]]:
        until = time.monotonic() + 1
        while True:
            answer = api.get(f"/v1/{of}/{subject_id}/accesses")
            assert answer.status_code == 200, answer.text
            items: list[dict[str, Any]] = answer.json()["items"]
            if len(items) >= at_least or time.monotonic() > until:
                return items
            time.sleep(0.05)

    return asking


def test_who_read_a_record_is_told_with_what_for_and_from_where(
    server: Running, api: httpx.Client, created: Any, who_saw: Who
) -> None:
    made = created("customers", person(email="maya@example.com"))
    principal, correlation = str(uuid4()), str(uuid4())
    headers = {
        "Lethe-Purpose": "support",
        "Lethe-On-Behalf-Of": principal,
        "X-Correlation-Id": correlation,
    }
    with server.client(Scope.READ) as reader:
        path = f"/v1/customers/{made['id']}"
        answer = reader.get(path, params={"at_least": made["position"]}, headers=headers)
    assert answer.json()["name"] == "Maya Brandt"
    (seen,) = who_saw(made["subject_id"])
    assert seen["operation"] == "read_customer"
    assert seen["purpose"] == "support"
    assert seen["on_behalf_of"] == principal
    assert seen["correlation_id"] == correlation
    assert seen["categories"] == ["contact", "identity"]
    assert seen["network"] == "127.0.0.0/24"
    assert (seen["count"], seen["subject_count"], seen["everyone"]) == (1, 1, False)
    assert [it["actor"] for it in who_saw(principal, of="actors")] == [seen["actor"]]


def test_everyone_on_a_list_is_named_in_the_log(api: httpx.Client, created: Any, who_saw: Who) -> None:
    segment = uuid4().hex
    made = [created("customers", person()) for _ in range(3)]
    done = [api.post(f"/v1/customers/{it['id']}/segment", json={"segment": segment}).json() for it in made]
    query = {"segment": segment, "at_least": done[-1]["position"]}
    assert len(api.get("/v1/customers", params=query).json()["items"]) == 3
    for it in made:
        (seen,) = who_saw(it["subject_id"])
        assert (seen["operation"], seen["count"], seen["subject_count"]) == ("list_customers", 3, 3)


def test_searches_and_lookups_are_told_also_where_nobody_is_found(
    server: Running, api: httpx.Client, created: Any, who_saw: Who
) -> None:
    email = f"{uuid4().hex}@example.com"
    with server.client(Scope.READ, Scope.COMPLY) as reader:
        reader.get("/v1/customers", params={"q": uuid4().hex})
        reader.post("/v1/customers/lookup", json={"email": email})
        actor = _actor_of(server, reader)
        seen = who_saw(actor, at_least=2, of="actors")
    assert [(it["operation"], it["count"]) for it in seen] == [
        ("look_up_customers", 0),
        ("list_customers", 0),
    ]


def _actor_of(server: Running, client: httpx.Client) -> str:
    token = client.headers["Authorization"].split()[1]
    found = server.call(server.system.tokens.find(digest(token)))
    assert found is not None
    return str(found.actor_id)


def test_a_member_whose_name_is_shown_beside_a_record_is_named_too(
    created: Any, read: Any, who_saw: Who
) -> None:
    member = created("members", {"name": "Amina Keller"})
    lead = created("leads", {"source": "fair", "owner_id": member["id"]})
    assert read("leads", lead).json()["owner_name"] == "Amina Keller"
    assert [it["operation"] for it in who_saw(member["subject_id"])] == ["read_lead"]


def test_accesses_come_page_by_page_and_by_time(
    api: httpx.Client, created: Any, read: Any, who_saw: Who
) -> None:
    made = created("customers", person())
    for _ in range(5):
        read("customers", made)
    every = who_saw(made["subject_id"], at_least=5)
    path, pages, cursor = f"/v1/subjects/{made['subject_id']}/accesses", [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get(path, params=query).json()
        pages += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == every
    assert len(every) == 5
    assert api.get(path, params={"until": every[-1]["at"]}).json()["items"] == []
    assert len(api.get(path, params={"since": every[1]["at"]}).json()["items"]) == 2
    assert api.get(path, params={"cursor": "AAAA"}).status_code == 422


def test_a_purpose_or_ground_that_makes_no_sense_is_refused(api: httpx.Client) -> None:
    for header, value in (("Lethe-Purpose", "Not A Code"), ("Lethe-Ground", "curiosity")):
        answer = api.get("/v1/customers", headers={header: value})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == header


def restrict(server: Running, subject_id: str, restricted: bool = True) -> None:
    position = 10**9 + time.monotonic_ns() // 1000
    server.call(server.system.ring.restrict(UUID(subject_id), restricted, position=position))


def test_a_restricted_record_is_shown_alone_and_on_a_ground_which_is_recorded(
    server: Running, api: httpx.Client, created: Any, read: Any, who_saw: Who
) -> None:
    made = created("customers", person())
    restrict(server, made["subject_id"])
    refused = read("customers", made)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:lethe:problem:processing-restricted"
    answer = api.get(f"/v1/customers/{made['id']}", headers={"Lethe-Ground": "legal_claims"})
    assert (answer.json()["name"], answer.json()["restricted"]) == ("Maya Brandt", True)
    (seen,) = who_saw(made["subject_id"])
    assert seen["ground"] == "legal_claims"
    restrict(server, made["subject_id"], False)
    assert read("customers", made).json()["restricted"] is False


def test_on_lists_searches_and_lookups_the_restricted_are_withheld_whatever_the_ground(
    server: Running, api: httpx.Client, created: Any, who_saw: Who
) -> None:
    word, email = f"Quillon{uuid4().hex[:6]}", f"{uuid4().hex}@example.com"
    made = created("customers", person(name=f"Ada {word}", email=email))
    restrict(server, made["subject_id"])
    at_least: dict[str, int | str] = {"at_least": made["position"]}
    headers = {"Lethe-Ground": "legal_claims"}
    answers = [
        api.get("/v1/customers", params={"q": word, **at_least}, headers=headers),
        api.post("/v1/customers/lookup", json={"email": email}, params=at_least, headers=headers),
        api.get("/v1/customers", params=at_least | {"limit": 200, "cursor": _cursor_before(made["id"])}),
    ]
    for answer in answers:
        shown = next(it for it in answer.json()["items"] if it["id"] == made["id"])
        assert (shown["restricted"], shown["name"], shown["email"]) == (True, None, None)
    assert who_saw(made["subject_id"]) == []


def _cursor_before(id: str) -> str:
    return cursor_of(UUID(int=UUID(id).int - 1))


def test_a_restricted_contact_is_withheld_and_the_organisation_is_shown(
    server: Running, api: httpx.Client, created: Any, read: Any
) -> None:
    firm = created("customers", organisation())
    path = f"/v1/customers/{firm['id']}"
    api.post(f"{path}/add-contact", json={"name": "Jo Park"})
    added = api.post(f"{path}/add-contact", json={"name": "Kim Lee"}).json()
    restrict(server, added["contact_id"])
    contacts = {
        it["id"]: it for it in read("customers", firm | {"position": added["position"]}).json()["contacts"]
    }
    assert sorted(str(it["name"]) for it in contacts.values()) == ["Jo Park", "None"]
    assert contacts[added["contact_id"]]["restricted"] is True
    grounded = api.get(path, headers={"Lethe-Ground": "consent"}).json()["contacts"]
    assert {it["name"] for it in grounded} == {"Jo Park", "Kim Lee"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [("leads", {"source": "fair", "name": "Jo"}), ("tickets", ticket()), ("members", {"name": "Amina"})],
)
def test_every_kind_of_record_heeds_a_restriction(
    server: Running, created: Any, read: Any, kind: str, body: dict[str, Any]
) -> None:
    made = created(kind, body)
    assert read(kind, made).status_code == 200
    restrict(server, made["subject_id"])
    assert read(kind, made).status_code == 403


def test_what_is_erased_in_part_is_null_and_the_rest_stays(server: Running, created: Any, read: Any) -> None:
    made = created("customers", person(email="maya@example.com", phone="+44 20 7946 0000"))
    assert read("customers", made).json()["email"] == "maya@example.com"
    shred = server.system.ring.shred(UUID(made["subject_id"]), frozenset({Category.CONTACT}))
    server.call(shred)
    shown = read("customers", made).json()
    assert (shown["name"], shown["email"], shown["phone"], shown["erased"]) == (
        "Maya Brandt",
        None,
        None,
        False,
    )


def test_what_was_just_shown_is_not_shown_again_once_it_is_erased(
    server: Running, api: httpx.Client, created: Any, read: Any
) -> None:
    made = created("customers", person(name=f"Ada {uuid4().hex}"))
    name = read("customers", made).json()["name"]
    query: dict[str, int | str] = {"limit": 200, "cursor": _cursor_before(made["id"])}
    assert name in api.get("/v1/customers", params=query).text
    server.call(server.system.ring.shred(UUID(made["subject_id"])))
    assert name not in api.get("/v1/customers", params=query).text
    assert read("customers", made).status_code == 410


def page_from(api: httpx.Client, id: str) -> list[dict[str, Any]]:
    """The list from this customer on."""
    answer = api.get("/v1/customers", params={"limit": 5, "cursor": _cursor_before(id)})
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_what_is_sent_again_is_what_was_sent_and_noted_each_time(
    api: httpx.Client, created: Any, read: Any, who_saw: Who
) -> None:
    owner = created("members", {"name": "Amina Keller"})
    made = created("customers", person(email="maya@example.com"))
    done = api.post(f"/v1/customers/{made['id']}/assign", json={"owner_id": owner["id"]}).json()
    alone = read("customers", done)
    again, listed, listed_again = (
        read("customers", done),
        page_from(api, made["id"]),
        page_from(api, made["id"]),
    )
    assert again.content == alone.content
    assert again.headers["etag"] == alone.headers["etag"] == '"2"'
    assert listed[0] == listed_again[0] == alone.json()
    assert alone.json()["owner_name"] == "Amina Keller"
    for subject_id in (made["subject_id"], owner["subject_id"]):
        operations = [it["operation"] for it in who_saw(subject_id, at_least=4)]
        assert operations == ["list_customers", "list_customers", "read_customer", "read_customer"]


def test_a_change_shows_at_once_in_what_was_sent_before(api: httpx.Client, created: Any, read: Any) -> None:
    made = created("customers", person())
    assert read("customers", made).json()["name"] == "Maya Brandt"
    done = api.post(f"/v1/customers/{made['id']}/rename", json={"name": "Maya Okafor"}).json()
    assert read("customers", done).json()["name"] == "Maya Okafor"
    assert page_from(api, made["id"])[0]["name"] == "Maya Okafor"


@pytest.mark.parametrize("how", ["restricted", "erased"])
def test_an_owner_whose_name_may_not_be_shown_is_left_out_of_what_was_sent_before(
    server: Running, api: httpx.Client, created: Any, read: Any, how: str
) -> None:
    owner = created("members", {"name": "Amina Keller"})
    made = created("leads", {"source": "fair", "owner_id": owner["id"]})
    assert read("leads", made).json()["owner_name"] == "Amina Keller"
    if how == "erased":
        server.call(server.system.ring.shred(UUID(owner["subject_id"])))
        assert read("leads", made).json()["owner_name"] is None
        return
    restrict(server, owner["subject_id"])
    assert read("leads", made).json()["owner_name"] is None
    restrict(server, owner["subject_id"], False)
    assert read("leads", made).json()["owner_name"] == "Amina Keller"


def test_nothing_is_shown_that_cannot_be_written_down(database_url: str, tmp_path: Path) -> None:
    with running(database_url, tmp_path) as server, server.client() as client:
        made = client.post("/v1/customers", json=person()).json()
        path, query = f"/v1/customers/{made['id']}", {"at_least": made["position"]}
        with psycopg.connect(database_url) as elsewhere:
            elsewhere.execute("SELECT pg_advisory_xact_lock(7809632, 1)")
            assert client.get(path, params=query).status_code == 200
            time.sleep(BEHIND_SECONDS_MAX + 0.2)
            refused = client.get(path)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
        time.sleep(0.5)
        assert client.get(path).status_code == 200
        time.sleep(0.5)
        seen = client.get(f"/v1/subjects/{made['subject_id']}/accesses").json()["items"]
        assert [it["operation"] for it in seen] == ["read_customer"] * 2
