"""What surrounds every request: its id, its line in the access log, and the last stand against faults."""

import re
from time import perf_counter
from typing import Final
from uuid import UUID

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from infra.http.errors import HTTP_TITLES, fault, problem

JSON: Final = re.compile(rb"application/(json|[a-z0-9.-]+\+json)\s*(;.*)?", re.IGNORECASE)
BODY_BYTES_MAX: Final = 1024 * 1024
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class Doorway:
    """Outermost of our middleware. The log names the route, never the URL: a query may hold a name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # Bound once: to look the logger's set-up up each time costs half of a line.
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = uuid7()
        scope["lethe.request_id"] = request_id
        started = perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", str(request_id).encode())]
            await send(message)

        try:
            refused = _refuse_body(scope)
            if refused:
                await problem(refused, *HTTP_TITLES[refused])(scope, receive, answer)
            else:
                await self.app(scope, _limited(receive), answer)
        except Exception as error:  # noqa: BLE001 - the last stand: the client gets an id, the log the place
            response = fault(error)
            if status:
                # The status line is out: only a broken connection can still tell the client.
                raise BrokenAnswer(str(request_id)) from None
            await response(scope, receive, answer)
        finally:
            self._tell(scope, request_id, status, perf_counter() - started)

    def _tell(self, scope: Scope, request_id: UUID, status: int, seconds: float) -> None:
        self._log.info(
            "request",
            request=request_id,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", None),
            status=status,
            milliseconds=round(seconds * 1000, 2),
            actor=scope.get("lethe.actor"),
        )


class BrokenAnswer(Exception):
    """A fault came after the answer had begun."""


def _refuse_body(scope: Scope) -> int | None:
    """The status that refuses the body by its headers alone."""
    if scope["method"] not in WITH_BODY:
        return None
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if length == b"0" and b"transfer-encoding" not in headers:
        return None
    if int(length) > BODY_BYTES_MAX:
        return 413
    return None if JSON.fullmatch(headers.get(b"content-type", b"")) else 415


def _limited(receive: Receive) -> Receive:
    """For a body that comes in chunks, and says no length: stop reading where it gets too large."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_BYTES_MAX:
            raise HTTPException(413)
        return message

    return counted
