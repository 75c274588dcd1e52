"""Every refusal as a problem document (RFC 9457): one table says which status each one gets.

No problem repeats what was sent: it names the field and the rule, never the value.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from domain.model import DomainError
from infra import json
from infra.audit.checkpoints import CheckpointNotFound
from infra.audit.tree import NotInTree, NotInTreeYet
from infra.deadletters import NoSuchLetter
from projections.analytics import TooManyPoints
from services.erasures import SubjectNotFound
from services.lawfulness import UnknownPurpose
from services.ports import (
    CommandReused,
    RecordNotFound,
    StaleVersion,
    SubjectIsErased,
    Unavailable,
    VersionConflict,
)
from services.subscribers import NotASubscriber
from services.unsealing import PositionNotReached

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 1

log = structlog.get_logger()


class FieldError(BaseModel):
    """One broken rule of one field."""

    field: str = Field(
        description="Where: a path into the body, or the parameter.", examples=["value.amount"]
    )
    rule: str = Field(description="The broken rule, for programs.", examples=["missing"])
    message: str = Field(description="The broken rule, for people.", examples=["Field required"])


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Names the rule.", examples=["urn:lethe:problem:stale-version"])
    title: str = Field(examples=["The record is not at the version the command expects."])
    status: int = Field(ge=400, le=599, examples=[412])
    detail: str | None = Field(None, description="More about this one refusal.")
    errors: list[FieldError] | None = Field(None, description="What is wrong, field by field.")


class Refusal(Exception):
    """A refusal that only this door makes."""

    status: int = 422
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, detail: str | None = None, *, field: str | None = None, rule: str = "value_error"
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = [{"field": field, "rule": rule, "message": detail}] if field else None
        self.members: dict[str, Any] = {}


class Malformed(Refusal):
    """The request is not of the form this operation takes."""


class Unreadable(Refusal):
    """The body is not readable JSON."""

    status = 400


class NotAuthenticated(Refusal):
    """A valid bearer token is needed."""

    status = 401
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class NotAllowed(Refusal):
    """The token does not allow this."""

    status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"The token has no scope `{scope}`.")
        self.headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}


class NotFound(Refusal):
    """There is no such thing."""

    status = 404


class RecordErased(Refusal):
    """The person this record is about is erased. Its history still stands."""

    status = 410

    def __init__(self, timeline: str) -> None:
        super().__init__()
        self.members = {"erased": True, "timeline": timeline}


class ProcessingRestricted(Refusal):
    """The processing of this person's data is restricted: say in `Lethe-Ground` why you see it."""

    status = 403


class NotYetVisible(Refusal):
    """The view has not reached this position yet. Try again soon."""

    status = 503
    headers = MappingProxyType({"Retry-After": str(RETRY_SECONDS)})


STATUSES: Final[Mapping[type[Exception], int]] = {
    RecordNotFound: 404,
    SubjectNotFound: 404,
    SubjectIsErased: 410,
    StaleVersion: 412,
    VersionConflict: 409,
    CommandReused: 409,
    TooManyPoints: 422,
    CheckpointNotFound: 404,
    NotInTree: 404,
    NoSuchLetter: 404,
    NotInTreeYet: 503,
    UnknownPurpose: 422,
    NotASubscriber: 403,
    PositionNotReached: 404,
    DomainError: 409,
    Unavailable: 503,
}
"""The status of each refusal; a subclass has its parent's. What is not here is a fault: 500."""

HTTP_TITLES: Final = {
    400: ("unreadable", "The request is not readable."),
    404: ("no-such-route", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take this method."),
    413: ("too-large", "The body is larger than 1 MiB."),
    415: ("unsupported-media-type", "The body must be application/json."),
}


def slug(kind: type[Exception]) -> str:
    """The name of a problem type: `StaleVersion` is `stale-version`."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__)[1:]


def title(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def problem(
    status: int,
    name: str,
    title: str,
    *,
    detail: str | None = None,
    errors: Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    document: dict[str, Any] = {"type": f"urn:lethe:problem:{name}", "title": title, "status": status}
    if detail is not None and detail != title:
        document["detail"] = detail
    if errors is not None:
        document["errors"] = errors
    body = json.encode(document | members)
    return Response(body, status, dict(headers or {}), media_type=MEDIA_TYPE)


async def on_refusal(request: Request, error: Exception) -> Response:
    """A refusal of this door."""
    assert isinstance(error, Refusal)  # noqa: S101
    kind = type(error)
    return problem(
        error.status,
        slug(kind),
        title(kind),
        detail=error.detail,
        errors=error.errors,
        headers=error.headers,
        **error.members,
    )


async def on_known(request: Request, error: Exception) -> Response:
    """A refusal of the domain, of a service, or of what they stand on."""
    kind = type(error)
    status = next(STATUSES[parent] for parent in kind.__mro__ if parent in STATUSES)
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else None
    if isinstance(error, DomainError):
        return problem(
            status, slug(kind), title(kind), detail=error.detail, headers=headers, subject=str(error.subject)
        )
    return problem(status, slug(kind), title(kind), headers=headers)


async def on_http(request: Request, error: Exception) -> Response:
    """What the router itself refuses: no such address, method or media type, a body too large."""
    assert isinstance(error, HTTPException)  # noqa: S101
    name, words = HTTP_TITLES.get(error.status_code, ("refused", "The request is refused."))
    return problem(error.status_code, name, words, headers=error.headers)


async def on_invalid(request: Request, error: Exception) -> Response:
    """A request that is not of the documented form."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return problem(400, slug(Unreadable), title(Unreadable))
    return problem(422, slug(Malformed), title(Malformed), errors=[field_error(one) for one in found])


def fault(error: Exception) -> Response:
    """A fault of ours. The log gets where it happened and an id to find it by; the client the id."""
    fault_id = uuid4()
    log.error("fault", fault=fault_id, exc_info=error)
    return problem(500, "fault", "Something went wrong here.", fault=str(fault_id))


FIELD_LENGTH_MAX: Final = 120
FIELD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
SOURCES: Final = ("body", "query", "path", "header", "cookie")
# Pydantic's messages for these quote the input: ours do not.
QUIET_MESSAGES: Final = {
    "uuid_parsing": "Input should be a UUID",
    "uuid_type": "Input should be a UUID",
    "datetime_parsing": "Input should be a time of RFC 3339 with its offset",
    "datetime_from_date_parsing": "Input should be a time of RFC 3339 with its offset",
    "date_parsing": "Input should be a date, YYYY-MM-DD",
    "date_from_datetime_parsing": "Input should be a date, YYYY-MM-DD",
}


def field_error(error: Mapping[str, Any]) -> dict[str, str]:
    place, rule = error["loc"], error["type"]
    path = place[1:] if len(place) > 1 and place[0] in SOURCES else place
    if rule == "extra_forbidden" and not FIELD_NAME.fullmatch(str(path[-1])):
        path = (*path[:-1], "?")  # the caller's own words, not a name mistyped: it may be somebody's address
    field = ".".join(str(step) for step in path)[:FIELD_LENGTH_MAX].encode("utf-8", "replace").decode()
    message = QUIET_MESSAGES.get(rule, error["msg"]).removeprefix("Value error, ")
    return {"field": field, "rule": rule, "message": message}


def answer_with_problems(app: FastAPI) -> None:
    """Make every refusal of the application a problem document; faults are caught further out."""
    app.add_exception_handler(Refusal, on_refusal)
    for kind in STATUSES:
        app.add_exception_handler(kind, on_known)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of these refusals."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: schema}} for status in statuses
    }


DESCRIPTIONS: Final = {
    400: "The body is not readable JSON.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The token lacks the scope; or the person's data is restricted, and no ground was given.",
    404: "There is no such record.",
    409: "A rule of the business refuses the command, or it conflicts with another.",
    410: "The person is erased.",
    412: "The record is not at the version in If-Match.",
    413: "The body is larger than 1 MiB.",
    415: "The body is not application/json.",
    422: "The request is malformed: `errors` names each field and its rule.",
    503: "Not available just now: try again after `Retry-After` seconds.",
}
READ_REFUSALS: Final = (401, 403, 422, 503)
RECORD_REFUSALS: Final = (401, 403, 404, 410, 422, 503)
CREATE_REFUSALS: Final = (400, 401, 403, 409, 410, 413, 415, 422, 503)
COMMAND_REFUSALS: Final = (400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 503)
