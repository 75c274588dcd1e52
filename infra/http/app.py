"""The HTTP application: every router, every refusal, and the OpenAPI document that describes both."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from infra.http import (
    accesses,
    activities,
    analytics,
    audit,
    bundles,
    consents,
    contracts,
    customers,
    deadletters,
    dossier,
    erasures,
    exports,
    feed,
    health,
    leads,
    members,
    privacy,
    register,
    reports,
    retention,
    rights,
    staff,
    subjects,
    subscribers,
    tickets,
    timelines,
    tokens,
    unsealing,
    webhooks,
)
from infra.http.auth import Authenticator
from infra.http.commands import Applied
from infra.http.dependencies import Dependencies
from infra.http.direct import go_directly
from infra.http.errors import Problem, answer_with_problems
from infra.http.gate import LedgerGate
from infra.http.middleware import Doorway

DESCRIPTION: Final = """\
A CRM that remembers everything and can forget anyone.

Every command takes `Idempotency-Key`, `If-Match`, and `occurred_at` and `reason` in its body, and answers
with the record's `id`, `version` and `position`. Read with `?at_least=<position>` to see your own write.
Refusals are problem documents (RFC 9457): 422 is malformed, 409 refused by a rule, 410 erased, 412 stale.
"""
ROUTERS: Final = (
    customers.router,
    leads.router,
    tickets.router,
    members.router,
    timelines.router,
    reports.router,
    exports.router,
    subjects.router,
    privacy.router,
    dossier.router,
    erasures.router,
    rights.router,
    consents.router,
    activities.router,
    retention.router,
    register.router,
    staff.router,
    subscribers.router,
    unsealing.router,
    analytics.router,
    accesses.router,
    feed.router,
    contracts.router,
    audit.router,
    deadletters.router,
    bundles.router,
    tokens.router,
    webhooks.router,
    health.router,
)


def create_app(door: Dependencies) -> FastAPI:
    """The application over these services and views. They must live as long as it does."""
    app = routed()
    app.state.door = door
    app.state.authenticator = Authenticator(door.tokens, door.clock)
    app.add_middleware(LedgerGate, fault=door.ledger_fault)
    return app


def routed() -> FastAPI:
    """The application without anything behind it: enough to describe it."""
    app = FastAPI(title="Lethe", version="1", description=DESCRIPTION, redoc_url=None, redirect_slashes=False)
    for router in ROUTERS:
        app.include_router(router)
    go_directly(app, [route for router in ROUTERS for route in router.routes])
    app.add_middleware(Doorway)
    answer_with_problems(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The document, with the schemas that operations refer to by name. Made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, Applied, privacy.Fulfilled):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        app.openapi_schema = document
    return app.openapi_schema
