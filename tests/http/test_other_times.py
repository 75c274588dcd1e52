"""Views over HTTP as of another time: at once, or as a report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infra.history.reports import Report
from tests.http.samples import organisation, ticket
from tests.http.stack import Running


def moment(days: float) -> str:
    """So many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


@contextmanager
def impatient(server: Running) -> Iterator[None]:
    """Whatever is not there at once becomes a report."""
    door = server.app.state.door
    server.app.state.door = replace(door, patience_seconds=0)
    try:
        yield
    finally:
        server.app.state.door = door


def made(api: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """The result of the report that was promised."""
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "running"
    for _ in range(100):
        state = api.get(answer.headers["location"]).json()
        if state["state"] != "running":
            break
        time.sleep(0.1)
    assert (state["state"], state["done"]) == ("done", state["total"])
    return api.get(state["result"])


@pytest.fixture
def product(api: httpx.Client) -> str:
    """The product of a lead that was captured ten days ago and won six days ago, for 900 euros."""
    name = f"Press {uuid4().hex[:8]}"
    lead = {"source": "fair", "name": "Maya Brandt", "product": name, "occurred_at": moment(10)}
    path = api.post("/v1/leads", json=lead).headers["location"]
    value = {"amount": "900.00", "currency": "EUR"}
    for verb, days in (("qualify", 8), ("win", 6)):
        assert api.post(f"{path}/{verb}", json={"value": value, "occurred_at": moment(days)}).is_success
    return name


def test_the_pipeline_is_shown_as_of_a_time_and_as_far_as_was_known(api: httpx.Client, product: str) -> None:
    def stages(**times: str) -> dict[str, int]:
        answer = api.get("/v1/pipeline", params={"product": product, **times})
        assert answer.status_code == 200, answer.text
        return {it["stage"]: it["count"] for it in answer.json()["stages"] if it["count"]}

    assert stages(as_of=moment(11)) == {}
    assert stages(as_of=moment(9)) == {"new": 1}
    assert stages(as_of=moment(7)) == {"qualified": 1}
    assert stages(as_of=moment(5)) == {"won": 1}
    assert stages(as_of=moment(5), known_at=moment(1)) == {}
    assert stages(known_at=moment(0)) == {"won": 1}


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("funnel", "won", 0),
        ("cycle_time", "won.count", 0),
        ("win_rate", "items", []),
    ],
)
def test_figures_are_shown_as_of_a_time(
    api: httpx.Client, product: str, name: str, path: str, expected: object
) -> None:
    def figure(**times: str) -> Any:
        said = api.get(f"/v1/analytics/{name}", params={"product": product, **times}).json()
        for step in path.split("."):
            said = said[step]
        return said

    assert figure(as_of=moment(7)) == expected
    assert figure(as_of=moment(5)) not in (expected, None)


def test_tickets_are_listed_as_of_a_time(api: httpx.Client, created: Any) -> None:
    product = f"Lathe {uuid4().hex[:8]}"
    made = created("tickets", ticket(product=product, occurred_at=moment(5)))
    api.post(f"/v1/tickets/{made['id']}/resolve", json={"occurred_at": moment(1)})

    def told(path: str, **more: str) -> list[dict[str, Any]]:
        answer = api.get(path, params={"product": product, **more})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    (then,) = told("/v1/tickets", as_of=moment(2))
    assert (then["status"], then["subject"], then["version"]) == ("open", "Dark display", 1)
    assert told("/v1/tickets", as_of=moment(6)) == []
    assert [it["open"] for it in told("/v1/queues", as_of=moment(2))] == [1]
    assert told("/v1/queues", as_of=moment(0)) == []
    assert told("/v1/analytics/ticket_times", as_of=moment(2))[0]["resolution"]["count"] == 0
    assert told("/v1/analytics/backlog", as_of=moment(2), every="day")[-1]["unresolved"] == 1


def test_a_list_of_another_time_goes_on_by_its_cursor_and_takes_no_search(api: httpx.Client) -> None:
    sector = f"sector {uuid4().hex[:8]}"
    old = [organisation(sector=sector, occurred_at=moment(3)) for _ in range(3)]
    ids = [api.post("/v1/customers", json=it).json()["id"] for it in old]
    api.post("/v1/customers", json=organisation(sector=sector))
    query = {"sector": sector, "as_of": moment(2), "limit": "2"}
    first = api.get("/v1/customers", params=query).json()
    rest = api.get("/v1/customers", params={**query, "cursor": first["next"]}).json()
    assert [it["id"] for it in first["items"] + rest["items"]] == sorted(ids)
    assert rest["next"] is None
    assert api.get("/v1/leads", params={"q": "Maya", "as_of": moment(2)}).status_code == 422


def test_what_takes_long_becomes_a_report_with_the_same_answer(
    server: Running, api: httpx.Client, product: str
) -> None:
    query = {"product": product, "as_of": moment(7)}
    at_once = api.get("/v1/pipeline", params=query)
    with impatient(server):
        promised = api.get("/v1/pipeline", params=query)
    assert made(api, promised).json() == at_once.json()
    assert api.get(f"/v1/reports/{uuid4()}").status_code == 404


def test_a_report_of_a_list_opens_what_may_be_seen_when_it_is_read(
    server: Running, api: httpx.Client, product: str
) -> None:
    query = {"product": product, "as_of": moment(7)}
    at_once = api.get("/v1/leads", params=query).json()
    with impatient(server):
        promised = api.get("/v1/leads", params=query)
    result = made(api, promised)
    assert result.json() == at_once
    assert at_once["items"][0]["name"] == "Maya Brandt"
    stored = server.call(_stored(server, promised.json()["id"]))
    assert "Maya" not in stored
    subject_id = at_once["items"][0]["subject_id"]
    erased = api.post(f"/v1/subjects/{subject_id}/erasure", json={"ground": "consent_withdrawn"})
    assert erased.is_success, erased.text
    again = api.get(f"/v1/reports/{promised.json()['id']}/result").json()["items"]
    assert [(it["name"], it["erased"]) for it in again] == [(None, True)]


async def _stored(server: Running, report_id: str) -> str:
    async with server.system.pool.connection() as connection:
        found = await connection.execute(
            "SELECT it::text FROM history.reports AS it WHERE id = %s", [report_id]
        )
        ((text,),) = await found.fetchall()
        return str(text)


def test_a_report_is_cancelled_and_then_has_no_answer(server: Running, api: httpx.Client) -> None:
    asked = Report(uuid4(), "pipeline", {"as_of": moment(7)}, str(uuid4()), datetime.now(UTC))
    server.call(server.app.state.door.reports.begin(asked))
    path = f"/v1/reports/{asked.id}"
    assert api.get(f"{path}/result").status_code == 202
    assert api.delete(path).status_code == 204
    assert api.get(path).json()["state"] == "cancelled"
    assert api.get(f"{path}/result").status_code == 409
    assert api.delete(f"/v1/reports/{uuid4()}").status_code == 404


def test_a_report_that_an_interruption_left_is_started_again(
    server: Running, api: httpx.Client, product: str
) -> None:
    query = {"product": product, "as_of": moment(7)}
    with impatient(server):
        promised = api.get("/v1/pipeline", params=query)
    path, id = promised.headers["location"], promised.json()["id"]
    expected = made(api, promised).json()
    server.call(_interrupted(server, id))
    assert api.get(path).json()["state"] == "running"
    assert made(api, promised).json() == expected


async def _interrupted(server: Running, report_id: str) -> None:
    async with server.system.pool.connection() as connection:
        await connection.execute(
            "UPDATE history.reports SET state = 'running', result = NULL, beat_at = now() - interval '1 min'"
            " WHERE id = %s",
            [report_id],
        )
