"""Reads over HTTP: records, lists, searches, totals, figures and histories."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.http.samples import organisation, person, ticket
from tests.http.stack import Running


def test_a_person_is_shown_in_clear_with_the_version_as_etag(created: Any, read: Any) -> None:
    made = created("customers", person(email="Maya.Brandt@Example.com", phone="+44 20 7946 0000"))
    answer = read("customers", made)
    shown = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert (shown["name"], shown["email"], shown["phone"], shown["erased"]) == (
        "Maya Brandt",
        "Maya.Brandt@example.com",
        "+442079460000",
        False,
    )


def test_ones_own_write_is_seen_at_once(api: httpx.Client, created: Any, read: Any) -> None:
    made = created("leads", {"source": "fair"})
    for amount in range(100, 110):
        value = {"amount": f"{amount}.00", "currency": "EUR"}
        verb = "qualify" if amount == 100 else "revalue"
        done = api.post(f"/v1/leads/{made['id']}/{verb}", json={"value": value}).json()
        assert float(read("leads", done).json()["value"]["amount"]) == amount


def test_what_no_view_shows_yet_is_unavailable_and_says_when_to_ask_again(
    api: httpx.Client, created: Any
) -> None:
    made = created("customers", person())
    answer = api.get(f"/v1/customers/{made['id']}", params={"at_least": made["position"] + 10**9})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "urn:lethe:problem:not-yet-visible"


@pytest.mark.parametrize("kind", ["customers", "leads", "tickets", "members"])
def test_a_record_that_does_not_exist_is_not_found(api: httpx.Client, kind: str) -> None:
    for path in (f"/v1/{kind}/{uuid4()}", f"/v1/{kind}/{uuid4()}/timeline"):
        answer = api.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_record_of_another_kind_is_not_found(api: httpx.Client, created: Any, read: Any) -> None:
    made = created("leads", {"source": "fair"})
    assert read("customers", made).status_code == 404
    assert api.get(f"/v1/customers/{made['id']}/timeline").status_code == 404
    assert api.post(f"/v1/customers/{made['id']}/archive").status_code == 404


def test_pages_hold_every_record_once(api: httpx.Client, created: Any) -> None:
    segment = uuid4().hex
    made = [created("customers", person()) for _ in range(5)]
    last = [api.post(f"/v1/customers/{it['id']}/segment", json={"segment": segment}).json() for it in made][
        -1
    ]
    query = {"segment": segment, "limit": 2, "at_least": last["position"]}
    seen: list[str] = []
    cursor = None
    while True:
        page = api.get("/v1/customers", params=query | ({"cursor": cursor} if cursor else {})).json()
        seen += [it["id"] for it in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [it["id"] for it in made]


def test_a_cursor_that_was_never_given_out_is_refused(api: httpx.Client) -> None:
    for cursor in ("x", "AAAA", "ÿ", "A" * 64):
        answer = api.get("/v1/customers", params={"cursor": cursor})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "cursor"


def test_an_unknown_parameter_is_refused_rather_than_without_effect(api: httpx.Client) -> None:
    answer = api.get("/v1/customers", params={"segmnt": "x"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "segmnt"


def test_customers_are_found_by_part_of_a_name(api: httpx.Client, created: Any) -> None:
    word = f"Quillon{uuid4().hex[:6]}"
    by_name = created("customers", person(name=f"Ada {word}"))
    by_company = created("customers", organisation(organisation=f"{word} Werke"))
    found = api.get("/v1/customers", params={"q": word[2:], "at_least": by_company["position"]}).json()
    assert {it["id"] for it in found["items"]} == {by_name["id"], by_company["id"]}
    assert found["next"] is None


def test_a_search_stands_alone(api: httpx.Client) -> None:
    answer = api.get("/v1/leads", params={"q": "ada", "stage": "won"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "q"


def test_an_exact_address_finds_the_person_and_the_contact(api: httpx.Client, created: Any) -> None:
    email = f"{uuid4().hex}@example.com"
    made = created("customers", person(email=email))
    firm = created("customers", organisation())
    added = api.post(f"/v1/customers/{firm['id']}/add-contact", json={"name": "Jo", "email": email}).json()
    found = api.post(
        "/v1/customers/lookup", json={"email": email.upper()}, params={"at_least": added["position"]}
    ).json()
    assert {it["id"] for it in found["items"]} == {made["id"], firm["id"]}


@pytest.mark.parametrize("body", [{}, {"email": "a@example.com", "phone": "+442079460000"}])
def test_a_lookup_is_by_one_detail(api: httpx.Client, body: dict[str, str]) -> None:
    assert api.post("/v1/customers/lookup", json=body).status_code == 422


def test_members_are_named_where_records_name_them_by_id(api: httpx.Client, created: Any, read: Any) -> None:
    member = created("members", {"name": "Amina Keller", "team": "Devices"})
    lead = created("leads", {"source": "fair", "owner_id": member["id"]})
    opened = created("tickets", ticket())
    done = api.post(
        f"/v1/tickets/{opened['id']}/assign", json={"team": "Devices", "agent_id": member["id"]}
    ).json()
    assert read("leads", lead).json()["owner_name"] == "Amina Keller"
    assert read("tickets", done).json()["agent_name"] == "Amina Keller"
    assert read("members", member).json()["name"] == "Amina Keller"


def test_a_record_is_shown_as_it_was_and_as_it_was_known(api: httpx.Client, created: Any, read: Any) -> None:
    made = created("leads", {"source": "fair", "occurred_at": "2020-01-01T00:00:00Z"})
    path = f"/v1/leads/{made['id']}"
    value = {"amount": "900.00", "currency": "EUR"}
    done = api.post(f"{path}/qualify", json={"value": value, "occurred_at": "2020-03-01T00:00:00Z"}).json()
    recorded_at = api.get(f"{path}/timeline").json()["items"][0]["recorded_at"]
    was = read("leads", done, as_of="2020-02-01T00:00:00Z")
    assert was.json()["stage"] == "new"
    assert "etag" not in was.headers
    assert read("leads", done, as_of="2020-03-01T00:00:00Z").json()["stage"] == "qualified"
    assert read("leads", done, known_at=recorded_at).json()["stage"] == "new"
    assert read("leads", done, as_of="2019-12-31T00:00:00Z").status_code == 404


def test_the_pipeline_adds_up_exactly(api: httpx.Client, created: Any) -> None:
    product = uuid4().hex
    for amount in ("0.10", "0.20", "1000000000000.05"):
        made = created("leads", {"source": "fair", "product": product})
        value = {"amount": amount, "currency": "EUR"}
        last = api.post(f"/v1/leads/{made['id']}/win", json={"value": value}).json()
    answer = api.get("/v1/pipeline", params={"product": product, "at_least": last["position"]}).json()
    won = next(it for it in answer["stages"] if it["stage"] == "won")
    assert won["count"] == answer["count"] == 3
    assert won["value"]["currency"] == "EUR"
    assert won["value"]["amount"].startswith("1000000000000.35")


def test_two_currencies_are_two_sums(api: httpx.Client, created: Any) -> None:
    product = uuid4().hex
    for currency in ("EUR", "USD"):
        made = created("leads", {"source": "fair", "product": product})
        value = {"amount": "5.00", "currency": currency}
        last = api.post(f"/v1/leads/{made['id']}/win", json={"value": value}).json()
    answer = api.get("/v1/pipeline", params={"product": product, "at_least": last["position"]}).json()
    won = next(it for it in answer["stages"] if it["stage"] == "won")
    assert won["value"] is None
    assert [it["currency"] for it in won["values"]] == ["EUR", "USD"]


def test_figures_are_of_the_leads_and_tickets_asked_for(api: httpx.Client, created: Any) -> None:
    product = uuid4().hex
    won, lost = (created("leads", {"source": "fair", "product": product}) for _ in range(2))
    api.post(f"/v1/leads/{won['id']}/win", json={"value": {"amount": "5.00", "currency": "EUR"}})
    last = api.post(f"/v1/leads/{lost['id']}/lose", json={"cause": "price"}).json()
    opened = created("tickets", ticket(product=product))
    done = api.post(f"/v1/tickets/{opened['id']}/resolve").json()
    query = {"product": product, "at_least": max(last["position"], done["position"])}
    funnel = api.get("/v1/analytics/funnel", params=query).json()
    cycle = api.get("/v1/analytics/cycle_time", params=query).json()
    rate = api.get("/v1/analytics/win_rate", params=query | {"by": "product"}).json()["items"]
    times = api.get("/v1/analytics/ticket_times", params=query).json()["items"]
    backlog = api.get("/v1/analytics/backlog", params=query | {"every": "day"}).json()["items"]
    assert (funnel["won"], funnel["lost"]) == (1, 1)
    assert cycle["won"]["count"] == cycle["lost"]["count"] == 1
    assert [(it["key"], it["rate"]) for it in rate] == [(product, 0.5)]
    assert times[0]["resolution"]["count"] == 1
    assert sum(it["opened"] for it in backlog) == 1


def test_queues_count_what_each_team_has_to_do(api: httpx.Client, created: Any) -> None:
    product = uuid4().hex
    made = created("tickets", ticket(product=product))
    done = api.post(f"/v1/tickets/{made['id']}/assign", json={"team": "Devices"}).json()
    queues = api.get("/v1/queues", params={"product": product, "at_least": done["position"]}).json()["items"]
    assert [(it["team"], it["open"], it["unassigned"]) for it in queues] == [("Devices", 1, 1)]


def test_a_timeline_tells_every_event_in_order_and_page_by_page(api: httpx.Client, created: Any) -> None:
    made = created("tickets", ticket())
    path = f"/v1/tickets/{made['id']}"
    api.post(f"{path}/send-reply", json={"channel": "email", "text": "Hold the power key."})
    api.post(f"{path}/resolve", json={"note": "Solved."})
    first = api.get(f"{path}/timeline", params={"limit": 2}).json()
    rest = api.get(f"{path}/timeline", params={"limit": 2, "cursor": first["next"]}).json()
    entries = first["items"] + rest["items"]
    assert [it["type"] for it in entries] == ["ticket.opened", "ticket.reply_sent", "ticket.resolved"]
    assert [it["version"] for it in entries] == [1, 2, 3]
    assert entries[1]["personal"] == {"text": "Hold the power key."}
    assert entries[1]["data"]["channel"] == "email"
    assert rest["next"] is None


def test_all_that_is_held_about_a_person_is_found(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    opened = created("tickets", ticket(customer_id=made["id"]))
    path = f"/v1/subjects/{made['subject_id']}"
    query = {"at_least": opened["position"]}
    subject = api.get(path, params=query).json()
    history = api.get(f"{path}/timeline", params=query).json()["items"]
    assert [(it["kind"], it["id"]) for it in subject["records"]] == [
        ("customer", made["id"]),
        ("ticket", opened["id"]),
    ]
    assert subject["keys"]["identity"] == "active"
    assert [it["type"] for it in history] == ["customer.registered", "ticket.opened"]


def test_a_subject_nobody_knows_is_not_found(api: httpx.Client) -> None:
    for path in ("", "/timeline"):
        assert api.get(f"/v1/subjects/{uuid4()}{path}").status_code == 404


def test_the_running_product_is_alive_and_ready(server: Running) -> None:
    with httpx.Client(base_url=server.url) as anybody:
        assert anybody.get("/healthz").json() == {"status": "alive"}
        ready = anybody.get("/readyz")
        metrics = anybody.get("/metrics")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "lethe_" in metrics.text
