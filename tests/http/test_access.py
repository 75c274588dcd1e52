"""Who may do what: every operation with no token, a wrong one, and too weak a one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from infra.access import EVERYTHING, Scope, WeakToken, digest, mint
from infra.clock import SystemClock
from infra.http import auth
from infra.memory.tokens import MemoryTokenStore
from tests.http.samples import person
from tests.http.stack import Running

OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /v1/audit/verifier.py",
    "GET /v1/schemas",
    "GET /v1/schemas/{type}/{version}",
}

READS = """
/v1/customers /v1/customers/{id} /v1/customers/{id}/timeline
/v1/leads /v1/leads/{id} /v1/leads/{id}/timeline
/v1/tickets /v1/tickets/{id} /v1/tickets/{id}/timeline /v1/queues
/v1/members /v1/members/{id} /v1/members/{id}/timeline
/v1/subjects/{id} /v1/subjects/{id}/timeline /v1/erasures/{id}
/v1/actors/{id}/timeline /v1/timeline /v1/reports/{id} /v1/reports/{id}/result
/v1/exports/{id} /v1/exports/{id}/manifest
/v1/customers/{id}/diff /v1/leads/{id}/diff /v1/tickets/{id}/diff
/v1/schemas/dossier.json
/v1/subscribers/{id}/timeline
/v1/pipeline /v1/analytics/funnel /v1/analytics/cycle_time /v1/analytics/win_rate
/v1/analytics/ticket_times /v1/analytics/backlog
/v1/audit/key /v1/audit/checkpoint /v1/audit/checkpoints /v1/audit/checkpoints/{size}
/v1/audit/inclusion /v1/audit/consistency /v1/audit/tiles/{level}/{number} /v1/audit/bundle
"""
WRITES = {
    "customers": (
        "rename change-email change-phone change-address add-contact change-contact remove-contact"
        " assign segment tag write-note archive reinstate"
    ),
    "leads": "contact qualify propose revalue assign link win lose disqualify reopen",
    "tickets": (
        "prioritise assign escalate progress send-reply receive-reply write-note pause resume resolve reopen"
        " close"
    ),
    "members": "move leave train acknowledge",
}

COMPLIES = {
    "POST /v1/privacy-requests",
    "GET /v1/privacy-requests",
    "GET /v1/privacy-requests/{id}",
    "GET /v1/subjects/{id}/dossier",
    *(
        f"POST /v1/privacy-requests/{{id}}/{verb}"
        for verb in ("verify-identity", "extend", "fulfil", "refuse", "withdraw")
    ),
}
"""What needs the privacy officer's scope: whole operations, such as `GET /v1/...`."""

RIGHTS_READ = """
/v1/restrictions /v1/holds /v1/holds/{id} /v1/credentials
/v1/retention /v1/retention/plan /v1/retention/{id} /v1/retention/{id}/history
/v1/subscribers /v1/subscribers/{id}
"""
RIGHTS_COMMANDED = """
/v1/subjects/{id}/restriction /v1/subjects/{id}/restriction/lift
/v1/holds /v1/holds/{id}/cover /v1/holds/{id}/release /v1/holds/{id}/lift
/v1/activities /v1/activities/{id}/change /v1/activities/{id}/retire
/v1/retention /v1/retention/{id}/withdraw
/v1/subscribers /v1/subscribers/{id}/grant /v1/subscribers/{id}/revoke /v1/subscribers/{id}/end
"""

NEEDED: dict[str, Scope] = {
    "GET /v1/accesses": Scope.COMPLY,
    "GET /v1/accesses/unusual": Scope.COMPLY,
    "GET /v1/subjects/{id}/accesses": Scope.COMPLY,
    "GET /v1/actors/{id}/accesses": Scope.COMPLY,
    **{f"GET {path}": Scope.COMPLY for path in RIGHTS_READ.split()},
    **{f"POST {path}": Scope.COMPLY for path in RIGHTS_COMMANDED.split()},
    **{f"GET {path}": Scope.READ for path in READS.split()},
    "POST /v1/customers/lookup": Scope.READ,
    "DELETE /v1/reports/{id}": Scope.READ,
    "POST /v1/exports": Scope.READ,
    "POST /v1/lawfulness": Scope.READ,
    "GET /v1/register": Scope.READ,
    **dict.fromkeys(("GET /v1/activities", "GET /v1/activities/{id}"), Scope.READ),
    **dict.fromkeys(("GET /v1/consents", "GET /v1/consents/{id}"), Scope.READ),
    "POST /v1/subjects/{id}/consents": Scope.WRITE,
    "POST /v1/consents/{id}/withdraw": Scope.WRITE,
    **{f"POST /v1/{kind}": Scope.WRITE for kind in WRITES},
    **{
        f"POST /v1/{kind}/{{id}}/{verb}": Scope.WRITE
        for kind, verbs in WRITES.items()
        for verb in verbs.split()
    },
    "POST /v1/subjects/{id}/erasure": Scope.ERASE,
    "POST /v1/erasures/{id}/acknowledge": Scope.SUBSCRIBE,
    "GET /v1/erasures/{id}/certificate": Scope.COMPLY,
    **dict.fromkeys(COMPLIES, Scope.COMPLY),
    "POST /v1/audit/checkpoints/{size}/cosignatures": Scope.WRITE,
    "POST /v1/unseal": Scope.SUBSCRIBE,
    "GET /v1/events": Scope.SUBSCRIBE,
    "POST /v1/subscribers/{id}/tokens": Scope.ADMIN,
    **dict.fromkeys(("GET /v1/webhooks", "POST /v1/webhooks", "GET /v1/webhooks/{id}"), Scope.ADMIN),
    **{
        f"POST /v1/webhooks/{{id}}/{verb}": Scope.ADMIN
        for verb in ("change", "resume", "replay", "rotate", "remove", "ping")
    },
    "POST /v1/tokens": Scope.ADMIN,
    "GET /v1/tokens": Scope.ADMIN,
    "GET /v1/deadletters": Scope.ADMIN,
    "GET /v1/deadletters/{id}": Scope.ADMIN,
    "POST /v1/deadletters/retry": Scope.ADMIN,
    "POST /v1/deadletters/{id}/retry": Scope.ADMIN,
    "POST /v1/deadletters/{id}/skip": Scope.ADMIN,
    "DELETE /v1/tokens/{id}": Scope.ADMIN,
}

ENOUGH: dict[str, frozenset[Scope]] = {
    "GET /v1/events": frozenset({Scope.READ}),
    "POST /v1/erasures/{id}/acknowledge": frozenset({Scope.WRITE}),
}
"""Scopes that do as well, where one other than the needed one does."""


@pytest.fixture(scope="module")
def anybody(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def weak(server: Running) -> Callable[[frozenset[Scope]], str]:
    """Makes a token that has all scopes but these."""
    return cache(lambda lacking: server.token(*(EVERYTHING - lacking)))


def ask(client: httpx.Client, operation: str, token: str | None) -> httpx.Response:
    method, path = operation.split(" ")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body: dict[str, Any] = {"json": {}} if method == "POST" else {}
    place = path.format(id=uuid4(), size=1, level=0, number=0, type="lead.won", version=1)
    return client.request(method, place, headers=headers, **body)


def test_every_operation_stands_in_the_table(server: Running) -> None:
    operations = {
        f"{method.upper()} {path}"
        for path, methods in server.app.openapi()["paths"].items()
        for method in methods
    }
    assert operations == NEEDED.keys() | OPEN


def test_nothing_is_served_that_the_document_leaves_out(anybody: httpx.Client, server: Running) -> None:
    hidden = {"/openapi.json", "/asyncapi.json", "/docs", "/docs/oauth2-redirect"}
    served = {getattr(route, "path", None) for route in server.app.routes} - {None}
    assert served <= hidden | {it.split(" ")[1] for it in NEEDED.keys() | OPEN}


@pytest.mark.parametrize("operation", sorted(NEEDED))
def test_an_operation_needs_a_token_with_its_scope(
    anybody: httpx.Client, weak: Callable[[frozenset[Scope]], str], operation: str
) -> None:
    without = ask(anybody, operation, None)
    wrong = ask(anybody, operation, mint(uuid4()))
    lacking = ENOUGH.get(operation, frozenset()) | {NEEDED[operation]}
    short = ask(anybody, operation, weak(lacking))
    assert (without.status_code, wrong.status_code, short.status_code) == (401, 401, 403)
    assert without.headers["www-authenticate"] == "Bearer"
    assert f'scope="{NEEDED[operation]}"' in short.headers["www-authenticate"]
    assert {it.headers["content-type"] for it in (without, wrong, short)} == {"application/problem+json"}


@pytest.mark.parametrize(
    ("operation", "scope"), [(it, scope) for it, scopes in sorted(ENOUGH.items()) for scope in sorted(scopes)]
)
def test_another_scope_does_as_well(
    server: Running, anybody: httpx.Client, operation: str, scope: Scope
) -> None:
    assert ask(anybody, operation, server.token(scope)).status_code not in (401, 403)


@pytest.mark.parametrize("operation", sorted(OPEN))
def test_probes_the_verifier_and_the_contracts_need_no_token(anybody: httpx.Client, operation: str) -> None:
    assert ask(anybody, operation, None).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "Bearer", ""])
def test_a_token_comes_as_a_bearer_token(server: Running, anybody: httpx.Client, scheme: str) -> None:
    answer = anybody.get("/v1/leads", headers={"Authorization": f"{scheme} {server.token()}".strip()})
    assert answer.status_code == (200 if scheme.lower() == "bearer" else 401)


def test_a_revoked_token_opens_nothing(server: Running, api: httpx.Client, anybody: httpx.Client) -> None:
    made = api.post("/v1/tokens", json={"name": "billing", "scopes": ["read"]})
    header = {"Authorization": f"Bearer {made.json()['token']}"}
    before = anybody.get("/v1/leads", headers=header)
    revoked = api.delete(made.headers["location"])
    after = anybody.get("/v1/leads", headers=header)
    assert (made.status_code, before.status_code, revoked.status_code, after.status_code) == (
        201,
        200,
        204,
        401,
    )
    assert api.delete(made.headers["location"]).status_code == 204


def test_an_expired_token_opens_nothing(server: Running, anybody: httpx.Client) -> None:
    tokens = server.system.tokens
    past = datetime.now(UTC) - timedelta(seconds=1)
    work = tokens.create(name="old", scopes=EVERYTHING, actor_id=uuid4(), expires_at=past)
    _, token = server.call(work)
    assert ask(anybody, "GET /v1/leads", token).status_code == 401


def test_a_token_is_shown_once_and_listed_without_itself(api: httpx.Client) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"name": "billing", "scopes": ["write", "read"], "expires_at": later}
    made = api.post("/v1/tokens", json=body)
    listed = api.get("/v1/tokens")
    (record,) = [it for it in listed.json()["items"] if it["id"] == made.json()["id"]]
    assert made.headers["cache-control"] == "no-store"
    assert made.json()["token"] not in listed.text
    assert record["scopes"] == ["read", "write"]
    assert record["actor_id"] == made.json()["actor_id"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x\ny"}, "name"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(
    api: httpx.Client, change: dict[str, Any], field: str
) -> None:
    answer = api.post("/v1/tokens", json={"name": "billing", "scopes": ["read"]} | change)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_token_nobody_made_cannot_be_revoked(api: httpx.Client) -> None:
    assert api.delete(f"/v1/tokens/{uuid4()}").status_code == 404


def test_what_a_token_does_is_recorded_under_its_actor(server: Running, api: httpx.Client) -> None:
    actor = str(uuid4())
    made = api.post("/v1/tokens", json={"name": "bot", "scopes": ["write"], "actor_id": actor}).json()
    header = {"Authorization": f"Bearer {made['token']}"}
    customer = api.post("/v1/customers", json=person(), headers=header).json()
    entry = api.get(f"/v1/customers/{customer['id']}/timeline").json()["items"][0]
    assert entry["actor"] == actor


async def test_a_token_of_ones_own_is_adopted_once() -> None:
    tokens = MemoryTokenStore(SystemClock())
    own = "a" * 32
    ids = {await tokens.adopt(own, name="first", scopes=EVERYTHING, actor_id=uuid4()) for _ in range(2)}
    found = await tokens.find(digest(own))
    assert found is not None
    assert ids == {found.id}


@pytest.mark.parametrize("token", ["short", "x" * 31, "ä" * 40, "a b" * 20, "a\n" * 20])
async def test_a_token_of_ones_own_must_not_be_weak(token: str) -> None:
    with pytest.raises(WeakToken):
        await MemoryTokenStore(SystemClock()).adopt(token, name="x", scopes=EVERYTHING, actor_id=uuid4())


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


async def test_a_token_revoked_elsewhere_goes_on_for_ten_seconds_at_most() -> None:
    clock = Hands()
    tokens = MemoryTokenStore(clock)
    authenticator = auth.Authenticator(tokens, clock)
    id, token = await tokens.create(name="x", scopes=EVERYTHING, actor_id=UUID(int=1))
    assert await authenticator.identify(token)
    await tokens.revoke(id)
    clock.moment += timedelta(seconds=auth.REMEMBERED_SECONDS_MAX)
    assert await authenticator.identify(token) is None


async def test_a_remembered_token_expires_on_time() -> None:
    clock = Hands()
    tokens = MemoryTokenStore(clock)
    authenticator = auth.Authenticator(tokens, clock)
    soon = clock.moment + timedelta(seconds=2)
    _, token = await tokens.create(name="x", scopes=EVERYTHING, actor_id=UUID(int=1), expires_at=soon)
    assert await authenticator.identify(token)
    clock.moment = soon
    assert await authenticator.identify(token) is None
