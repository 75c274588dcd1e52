"""Nobody is served from a database that lacks erasures which its ledger knows of."""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from infra.http.errors import RETRY_SECONDS, problem

TITLE: Final = "The database and the erasure ledger do not agree: nobody is served until they do."


class LedgerGate:
    """Answers every route of the API with 503 while `fault` says what is wrong; probes pass."""

    def __init__(self, app: ASGIApp, fault: Callable[[], str | None]) -> None:
        self.app = app
        self.fault = fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self.fault()
        if fault is None or scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        retry = {"Retry-After": str(RETRY_SECONDS)}
        await problem(503, "ledger-not-applied", TITLE, detail=fault, headers=retry)(scope, receive, send)
