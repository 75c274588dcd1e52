"""Plain routes are answered without FastAPI's detours: nobody can tell by the answers."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from infra.access import Scope
from infra.http.app import create_app
from infra.http.direct import DirectRoutes
from tests.http.samples import person
from tests.http.stack import Running

PAGE = "/v1/customers"
OF_THE_REQUEST = {"x-request-id", "date"}
JSON = {"content-type": "application/json"}


def routes(server: Running) -> DirectRoutes:
    found = server.app.router.routes[0]
    assert isinstance(found, DirectRoutes)
    return found


@pytest.mark.parametrize(
    "route",
    [
        "GET /v1/customers", "GET /v1/customers/{id}", "POST /v1/customers", "POST /v1/customers/{id}/rename",
        "GET /v1/leads", "GET /v1/leads/{id}", "GET /v1/tickets", "POST /v1/customers/lookup",
    ],
)  # fmt: skip
def test_busy_routes_are_direct(server: Running, route: str) -> None:
    assert route in routes(server)


def test_what_takes_more_than_a_record_and_a_query_is_fastapis(server: Running) -> None:
    assert "POST /v1/audit/checkpoints/{size}/cosignatures" not in routes(server)


async def both(server: Running, method: str, path: str, **request: Any) -> list[tuple[int, Any, bytes]]:
    """What the application answers, and what it does where FastAPI alone answers."""
    detour = create_app(server.app.state.door)
    assert isinstance(detour.router.routes.pop(0), DirectRoutes)
    answers = []
    for app in (server.app, detour):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as client:
            it = await client.request(method, path, **request)
        headers = sorted((name, value) for name, value in it.headers.items() if name not in OF_THE_REQUEST)
        answers.append((it.status_code, headers, it.content))
    return answers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("{page}/{id}", 200),
        ("{page}/{compact}", 200),
        ("{page}/{id}?known_at=2100-01-01T00:00:00Z", 200),
        ("{page}/{id}?as_of=never", 422),
        ("{page}/{id}?whatever=1", 422),
        ("{page}/{nobody}", 404),
        ("{page}/nobody", 422),
        ("{page}/", 404),
        ("{page}?limit=1", 200),
        ("{page}?limit=7&limit=1", 200),
        ("{page}?limit=0", 422),
        ("{page}?limit=", 422),
        ("{page}?q=maya&kind=person", 422),
        ("{page}?cursor=%C3%A4", 422),
        ("{page}/{id}/rename", 405),
    ],
)
def test_a_read_is_answered_alike(server: Running, created: Any, read: Any, path: str, status: int) -> None:
    id = read("customers", created("customers", person())).json()["id"]
    asked = path.format(page=PAGE, id=id, compact=id.replace("-", ""), nobody=uuid4())
    headers = {"authorization": f"Bearer {server.token()}"}
    direct, detour = server.call(both(server, "GET", asked, headers=headers))
    assert direct == detour
    assert direct[0] == status


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (json.dumps(person()).encode(), JSON, 201),
        (json.dumps(person()).encode(), {"content-type": "application/json; charset=utf-8"}, 201),
        (b'{"kind": "person"', JSON, 400),
        (b'{"kind": "person"}', JSON, 422),
        (b"[]", JSON, 422),
        (b"", JSON, 422),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b" " * 1024 * 1024 + b"{}", JSON, 413),
        (b"\xff", JSON, 400),
    ],
)  # fmt: skip
def test_a_command_is_answered_alike(
    server: Running, body: bytes, headers: dict[str, str], status: int
) -> None:
    given = {"authorization": f"Bearer {server.token()}", "idempotency-key": str(uuid4()), **headers}
    direct, detour = server.call(both(server, "POST", PAGE, content=body, headers=given))
    assert direct == detour
    assert direct[0] == status


def test_a_body_that_grows_too_large_on_the_way_is_refused(server: Running) -> None:
    with server.client() as client:
        chunks = (b" " * 256 * 1024 for _ in range(5))
        answer = client.post(PAGE, content=chunks, headers=JSON)
    assert answer.status_code == 413


@pytest.mark.parametrize("token", ["", "Bearer nobody", "Bearer"])
def test_who_is_nobody_is_refused_alike(server: Running, token: str) -> None:
    for method, content in (("GET", b""), ("POST", b'{"kind"')):
        direct, detour = server.call(
            both(server, method, PAGE, content=content, headers={"authorization": token, **JSON})
        )
        assert direct == detour


def test_a_token_without_the_scope_is_refused_alike(server: Running) -> None:
    headers = {"authorization": f"Bearer {server.token(Scope.WRITE)}"}
    direct, detour = server.call(both(server, "GET", PAGE, headers=headers))
    assert direct == detour
    assert direct[0] == 403
