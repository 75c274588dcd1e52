"""Routes without detours: what FastAPI works out for every request anew is worked out once for each route.

For each request FastAPI walks the route's dependencies and finds out by reflection how each is called: half
the time of reading a customer. Here a route whose arguments are plain is a list of steps, one an argument.
A request for which a step comes to no argument goes FastAPI's way, as all others do: only there is refused.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction, signature
from typing import Any, Final, TypeAlias
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

Step: TypeAlias = Callable[[Request], Awaitable[Any]]
Steps: TypeAlias = Sequence[tuple[str, Step]]
PLAIN_JSON: Final = re.compile(r"application/json(;.*)?")
RECORD: Final = 3
"""Where an address has the record's id: `/v1/customers/{id}/rename`."""
_uuid = TypeAdapter(UUID).validate_python


class NotPlain(Exception):
    """The route takes something that only FastAPI knows how to come by."""


class _NoArgument(Exception):
    """The request does not give what a step needs."""


@dataclass(frozen=True, slots=True)
class _Direct:
    route: APIRoute
    steps: Steps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            values = {name: await step(request) for name, step in self.steps}
        except HTTPException:
            raise  # the body was too large, and is not there to be read again
        except Exception:  # noqa: BLE001 - FastAPI meets the same, and says it
            await self.route.app(scope, await _again(request), send)
            return
        response: Response = await self.route.endpoint(**values)
        await response(scope, receive, send)


class DirectRoutes(BaseRoute):
    """All plain routes of an application, found by method and address without a pattern."""

    def __init__(self, routes: Iterable[APIRoute]) -> None:
        self._found: dict[str, _Direct] = {}
        for route in routes:
            try:
                direct = _Direct(route, _steps_of(route))
            except NotPlain:
                continue
            for method in route.methods or ():
                self._found[f"{method} {_address(route.path)}"] = direct

    def __contains__(self, method_and_path: str) -> bool:
        return method_and_path in self._found

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope.get("root_path"):
            return Match.NONE, {}
        method, path = scope["method"], scope["path"]
        ids: Mapping[str, str] = {}
        direct = self._found.get(f"{method} {path}")
        if direct is None:
            parts = path.split("/")
            if len(parts) <= RECORD or not parts[RECORD]:
                return Match.NONE, {}
            id, parts[RECORD] = parts[RECORD], "{id}"
            direct = self._found.get(f"{method} {'/'.join(parts)}")
            ids = {"id": id}
        if direct is None:
            return Match.NONE, {}
        return Match.FULL, {"route": direct.route, "path_params": ids, "lethe.direct": direct}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct: _Direct = scope["lethe.direct"]
        await direct(scope, receive, send)


def go_directly(app: FastAPI, routes: Iterable[BaseRoute]) -> None:
    """Answer those of the routes that are plain without detours."""
    app.router.routes.insert(0, DirectRoutes(it for it in routes if isinstance(it, APIRoute)))


def _address(path: str) -> str:
    """The route's path; the parameter, if it has one, stands where a record's id does."""
    parts = path.split("/")
    if any(it.startswith("{") for place, it in enumerate(parts) if place != RECORD):
        raise NotPlain
    return path


def _steps_of(route: APIRoute) -> Steps:
    dependant, endpoint = route.dependant, route.endpoint
    if signature(endpoint).return_annotation is not Response or not iscoroutinefunction(endpoint):
        raise NotPlain
    path, query, body = dependant.path_params, dependant.query_params, dependant.body_params
    if not all(map(_is_id, path)) or len(query) > 1 or len(body) > 1:
        raise NotPlain
    return [
        *_before(dependant),
        *((it.name, _id) for it in path),
        *((it.name, _query(_model(it))) for it in query),
        *((it.name, _body(_model(it))) for it in body),
    ]


def _before(dependant: Dependant) -> list[tuple[str, Step]]:
    """The steps of what it depends on, and of the request itself."""
    if dependant.header_params or dependant.cookie_params or dependant.response_param_name:
        raise NotPlain
    if dependant.background_tasks_param_name or dependant.security_scopes_param_name:
        raise NotPlain
    steps = [(it.name or "", _dependency(it)) for it in dependant.dependencies]
    if dependant.request_param_name is not None:
        steps.append((dependant.request_param_name, _request))
    return steps


def _dependency(dependant: Dependant) -> Step:
    call: Any = dependant.call
    if dependant.path_params or dependant.query_params or dependant.body_params:
        raise NotPlain
    if not (iscoroutinefunction(call) or iscoroutinefunction(getattr(call, "__call__", None))):  # noqa: B004
        raise NotPlain
    steps = _before(dependant)

    async def depend(request: Request) -> Any:
        return await call(**{name: await step(request) for name, step in steps})

    return depend


async def _request(request: Request) -> Request:
    return request


async def _id(request: Request) -> UUID:
    return _uuid(request.path_params["id"])


def _is_id(parameter: Any) -> bool:
    return parameter.name == "id" and parameter.field_info.annotation is UUID


def _model(parameter: Any) -> type[BaseModel]:
    """The model that all of the query, or the whole body, is taken in by."""
    kind = parameter.field_info.annotation
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        raise NotPlain
    return kind


def _query(kind: type[BaseModel]) -> Step:
    if any("list" in str(field.annotation) for field in kind.model_fields.values()):
        raise NotPlain
    asked_nothing = kind() if not any(it.is_required() for it in kind.model_fields.values()) else None

    async def ask(request: Request) -> BaseModel:
        if asked_nothing is not None and not request.scope["query_string"]:
            return asked_nothing
        return kind.model_validate(dict(request.query_params))

    return ask


def _body(kind: type[BaseModel]) -> Step:
    async def read(request: Request) -> BaseModel:
        body = await request.body()
        if not body or not PLAIN_JSON.fullmatch(request.headers.get("content-type", "")):
            raise _NoArgument
        return kind.model_validate(json.loads(body))

    return read


async def _again(request: Request) -> Receive:
    """What the request's body is read from once more."""
    if not hasattr(request, "_body"):
        return request.receive
    body: bytes | None = await request.body()

    async def receive() -> Message:
        nonlocal body
        if body is None:
            return await request.receive()
        whole, body = body, None
        return {"type": "http.request", "body": whole, "more_body": False}

    return receive
