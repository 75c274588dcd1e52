"""Dead letters over HTTP: listed, tried again and skipped by an administrator; and said on probes."""

from typing import Any
from uuid import UUID

import httpx

from tests.http.samples import ticket
from tests.http.stack import Running


def parked(server: Running, api: httpx.Client, version: int) -> str:
    """A ticket that is parked from its view, at an event that can be digested by now."""
    id = api.post("/v1/tickets", json=ticket()).json()["id"]
    for verb in ("pause", "resume"):
        body = {"waiting_for": "customer"} if verb == "pause" else {}
        position = api.post(f"/v1/tickets/{id}/{verb}", json=body).json()["position"]
    assert api.get(f"/v1/tickets/{id}", params={"at_least": position}).status_code == 200

    async def park() -> None:
        async with server.system.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO views.dead_letters "
                "(view, originator_id, version, position, topic, error, place) "
                "VALUES ('tickets', %s, %s, 7, 'ticket.paused', 'KeyError', 'projections/tickets.py:1')",
                [UUID(id), version],
            )

    server.call(park())
    return str(id)


def test_a_parked_record_is_listed_said_on_the_probes_and_tried_again(
    server: Running, api: httpx.Client
) -> None:
    id = parked(server, api, 2)
    listed = api.get("/v1/deadletters", params={"view": "tickets"}).json()
    assert [(it["record_id"], it["version"], it["held_back"]) for it in listed["items"]] == [(id, 2, 1)]
    assert api.get("/v1/deadletters", params={"view": "pipeline"}).json()["items"] == []
    ready = api.get("/readyz")
    assert (ready.status_code, ready.json()["warnings"]) == (
        200,
        {"dead_letters": "records parked: 1 from tickets"},
    )
    assert 'lethe_dead_letters{view="tickets"} 1.0' in api.get("/metrics").text

    assert api.post(f"/v1/deadletters/{id}/retry", json={}).json() == {"tried": 1, "drained": 1}
    assert api.post("/v1/deadletters/retry", json={}).json() == {"tried": 0, "drained": 0}
    assert api.get(f"/v1/deadletters/{id}").status_code == 404
    assert api.get("/readyz").json()["warnings"] == {}
    assert 'lethe_dead_letters{view="tickets"} 0.0' in api.get("/metrics").text


def test_who_skips_names_the_event_and_a_reason_that_says_nothing_about_a_person(
    server: Running, api: httpx.Client
) -> None:
    id = parked(server, api, 2)

    def skip(**body: Any) -> httpx.Response:
        return api.post(f"/v1/deadletters/{id}/skip", json={"view": "tickets", "reason": "CHG-1"} | body)

    assert skip(version=1).status_code == 404
    assert skip(version=2, reason="Ann Lee <ann@example.com> asked").status_code == 422
    assert skip(version=2).json() == {"tried": 1, "drained": 1}
    found = api.get(f"/v1/deadletters/{id}").json()
    assert found["dead_letters"] == []
    [skipped] = found["skipped"]
    assert (skipped["version"], skipped["reason"], skipped["view"]) == (2, "CHG-1", "tickets")
    assert skip(version=2).status_code == 404


def test_parked_records_come_in_pages(server: Running, api: httpx.Client) -> None:
    ids = sorted(parked(server, api, 2) for _ in range(3))
    first = api.get("/v1/deadletters", params={"limit": 2}).json()
    rest = api.get("/v1/deadletters", params={"limit": 2, "cursor": first["next"]}).json()
    assert [it["record_id"] for it in first["items"] + rest["items"]] == ids
    assert rest["next"] is None
    assert api.post("/v1/deadletters/retry", json={"view": "tickets"}).json() == {"tried": 3, "drained": 3}
