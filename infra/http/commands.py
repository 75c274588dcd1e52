"""How a request becomes a command: its idempotency, its expected version, its time, its cause."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, TypeAlias
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response
from uuid_utils.compat import uuid7

from infra import json
from infra.access import Token
from infra.http.auth import Acknowledger, Administrator, Comply, Eraser, Writer
from infra.http.declared import DECLARED_HEADERS, Declared, declared
from infra.http.dependencies import Dependencies
from infra.http.errors import COMMAND_REFUSALS, CREATE_REFUSALS, Malformed, documented
from infra.http.values import FreeText
from infra.telemetry import valid_traceparent
from services.ports import CommandContext, Outcome

Act: TypeAlias = Callable[..., Awaitable[Outcome]]
NOTHING: Final[Mapping[str, UUID]] = {}


class CommandBody(BaseModel):
    """What every command's body may say beside its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ENVELOPE: ClassVar[frozenset[str]] = frozenset({"occurred_at", "reason"})

    occurred_at: AwareDatetime | None = Field(
        None,
        description="When it happened in the business's time; absent: now. Never in the future.",
        examples=["2026-03-01T09:30:00Z"],
    )
    reason: FreeText | None = Field(
        None, description="Why, in words. Sealed like all free text.", examples=["Asked for by phone"]
    )

    def fields(self) -> dict[str, Any]:
        """The command's own fields."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in self.ENVELOPE}


class Applied(BaseModel):
    """What a command answers: the record, its version, and the position of its last event in the log."""

    id: UUID
    subject_id: UUID = Field(description="The data subject of the record.")
    version: int = Field(ge=1, description="The record's version from now on; also the ETag.", examples=[3])
    position: int = Field(ge=1, description="Read with `at_least` this to see it.", examples=[4711])


@dataclass(frozen=True, slots=True)
class Command:
    """What the headers of a request say about the command in it."""

    door: Dependencies
    token: Token
    method_and_path: str
    command_id: UUID
    may_be_repeated: bool
    expected_version: int | None
    correlation_id: UUID
    traceparent: str | None
    declared: Declared

    def context(self, body: CommandBody) -> CommandContext:
        """Raises `Malformed` for a command from the future."""
        now = self.door.clock.now()
        if body.occurred_at is not None and body.occurred_at > now:
            raise Malformed("It cannot have happened in the future.", field="occurred_at", rule="future")
        return CommandContext(
            command_id=self.command_id,
            request_digest=self._request_digest(body),
            actor=str(self.token.actor_id),
            occurred_at=body.occurred_at or now,
            correlation_id=self.correlation_id,
            reason=body.reason,
            traceparent=self.traceparent,
            on_behalf_of=self.declared.on_behalf_of,
            purpose=self.declared.purpose,
            ground=self.declared.ground,
        )

    def _request_digest(self, body: CommandBody) -> bytes:
        if not self.may_be_repeated:
            return b""  # nobody can repeat it: nothing to tell apart
        whole = f"{self.token.actor_id}\n{self.method_and_path}\n{body.model_dump_json(exclude_none=True)}"
        return self.door.blind.digest("request", whole)[:16]

    def derived_id(self, purpose: str) -> UUID:
        """An id for what the command makes inside a record: the same one when the command is repeated."""
        return keyed_id(self.door.blind.digest(purpose, str(self.command_id)))

    async def create(self, act: Act, body: CommandBody, place: str, **ids: UUID) -> Response:
        """Run a command that makes a record: 201, and where to find it."""
        outcome = await act(**ids, context=self.context(body), **body.fields())
        return answer(outcome, 201, {"Location": place.format(id=outcome.id)})

    async def change(
        self, act: Act, body: CommandBody, id: UUID, *, answered: Mapping[str, UUID] = NOTHING, **ids: UUID
    ) -> Response:
        """Run a command on a record. What is `answered` goes into the reply beside the outcome."""
        outcome = await act(
            id=id, context=self.context(body), expected_version=self.expected_version, **ids, **body.fields()
        )
        return answer(outcome, 200, {}, **answered)


def answer(outcome: Outcome, status: int, headers: Mapping[str, str], **more: UUID) -> Response:
    body = {
        "id": outcome.id,
        "subject_id": outcome.subject_id,
        "version": outcome.version,
        "position": outcome.position,
        **more,
    }
    tagged = {"ETag": f'"{outcome.version}"', **headers}
    return Response(json.encode(body), status, tagged, media_type="application/json")


KEY: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
VERSION: Final = re.compile(r'"([1-9][0-9]{0,8})"')


async def _creating(request: Request, token: Writer) -> Command:
    return _command(request, token, None)


async def _changing(request: Request, token: Writer) -> Command:
    return _command(request, token, _expected_version(request.headers.get("if-match")))


async def _erasing(request: Request, token: Eraser) -> Command:
    return _command(request, token, None)


async def _complying(request: Request, token: Comply) -> Command:
    return _command(request, token, _expected_version(request.headers.get("if-match")))


async def _administering(request: Request, token: Administrator) -> Command:
    return _command(request, token, _expected_version(request.headers.get("if-match")))


async def _acknowledging(request: Request, token: Acknowledger) -> Command:
    return _command(request, token, _expected_version(request.headers.get("if-match")))


def _command(request: Request, token: Token, expected_version: int | None) -> Command:
    # By hand: FastAPI's header parameters cost a create a tenth of its time.
    headers = request.headers
    door: Dependencies = request.app.state.door
    key = headers.get("idempotency-key")
    if key is not None and KEY.fullmatch(key) is None:
        raise Malformed("1 to 255 printable ASCII characters.", field="Idempotency-Key", rule="pattern")
    return Command(
        door=door,
        token=token,
        method_and_path=f"{request.method} {request.scope['path']}",
        command_id=_command_id(door, token, key),
        may_be_repeated=key is not None,
        expected_version=expected_version,
        correlation_id=correlation_of(request),
        traceparent=valid_traceparent(headers.get("traceparent")),
        declared=declared(headers),
    )


def _expected_version(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    found = VERSION.fullmatch(if_match)
    if found is None:
        raise Malformed('Give one ETag, such as "3", or *.', field="If-Match", rule="pattern")
    return int(found[1])


def correlation_of(request: Request) -> UUID:
    """What the caller says that this request belongs to; absent: the request's own id. Raises `Malformed`."""
    text = request.headers.get("x-correlation-id")
    if text is None:
        id: UUID = request.scope["lethe.request_id"]
        return id
    try:
        return UUID(text)
    except ValueError:
        raise Malformed("It must be a UUID.", field="X-Correlation-Id", rule="uuid_parsing") from None


def _command_id(door: Dependencies, token: Token, key: str | None) -> UUID:
    if key is None:
        return uuid7()
    try:
        return UUID(key)
    except ValueError:
        # A key of words is the caller's own: two callers may well choose the same.
        return keyed_id(door.blind.digest("idempotency-key", f"{token.actor_id}\n{key}"))


def keyed_id(digest: bytes) -> UUID:
    """A UUID of a keyed digest: version 8 of RFC 9562, which Python 3.11 cannot name yet."""
    number = int.from_bytes(digest[:16], "big")
    return UUID(int=number & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x8000 << 64) | (0x8000 << 48))


Creating = Annotated[Command, Depends(_creating)]
Changing = Annotated[Command, Depends(_changing)]
Erasing = Annotated[Command, Depends(_erasing)]
Complying = Annotated[Command, Depends(_complying)]
Administering = Annotated[Command, Depends(_administering)]
Acknowledging = Annotated[Command, Depends(_acknowledging)]
RecordId = Annotated[UUID, Path(description="The record's id.")]


@dataclass(frozen=True, slots=True)
class Verb:
    """A command on a record: the end of its address, its body, and the service method that does it."""

    path: str
    body: type[CommandBody]
    act: Callable[[Dependencies], Act]

    @property
    def takes_nothing(self) -> bool:
        return not any(field.is_required() for field in self.body.model_fields.values())


def add_verbs(router: APIRouter, prefix: str, verbs: tuple[Verb, ...], *, commanding: Any = Changing) -> None:
    """Give every verb its operation, `POST {prefix}/{id}/{verb}`; `commanding` says who may: `Complying`."""
    for verb in verbs:
        _add_verb(router, prefix, verb, commanding)


def _add_verb(router: APIRouter, prefix: str, verb: Verb, commanding: Any) -> None:
    described = Body(default_factory=verb.body) if verb.takes_nothing else Body()
    body_type: Any = Annotated[verb.body, described]

    async def run(id: RecordId, command: commanding, body: body_type) -> Response:
        given: Command = command
        return await given.change(verb.act(given.door), body, id)

    words = (verb.body.__doc__ or "").strip()
    router.add_api_route(
        f"{prefix}/{{id}}/{verb.path}",
        run,
        methods=["POST"],
        operation_id=f"{prefix.rsplit('/', 1)[-1]}_{verb.path}".replace("-", "_"),
        summary=verb.path.replace("-", " ").capitalize(),
        description=words,
        responses={200: APPLIED, **documented(*COMMAND_REFUSALS)},
        response_class=Response,
        response_model=None,
        openapi_extra=CHANGE_HEADERS,
    )


def _header(name: str, description: str, schema: Mapping[str, Any], example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


_IDEMPOTENCY_KEY: Final = _header(
    "Idempotency-Key",
    "The same key with the same request is applied once, and gets the first answer again.",
    {"pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    "order-4711-qualify",
)
_IF_MATCH: Final = _header(
    "If-Match",
    "The ETag of the version the command is meant for; at another version it answers 412.",
    {"pattern": r'^("[1-9][0-9]{0,8}"|\*)$'},
    "*",
)
_CORRELATION_ID: Final = _header(
    "X-Correlation-Id",
    "Goes into every event that follows from this.",
    {"format": "uuid"},
    "0197a3c0-5b1e-7c44-9d53-2f6a8e1b7c90",
)
CREATE_HEADERS: Final[dict[str, Any]] = {"parameters": [_IDEMPOTENCY_KEY, _CORRELATION_ID, *DECLARED_HEADERS]}
CHANGE_HEADERS: Final[dict[str, Any]] = {
    "parameters": [_IDEMPOTENCY_KEY, _IF_MATCH, _CORRELATION_ID, *DECLARED_HEADERS]
}

_HEADERS: Final = {
    "ETag": {"description": "The record's version.", "schema": {"type": "string"}, "required": True}
}
APPLIED_HEADERS: Final[dict[str, Any]] = {"description": "The command is durable.", "headers": _HEADERS}
_CONTENT: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/Applied"}}}
APPLIED: Final[dict[str, Any]] = APPLIED_HEADERS | {"content": _CONTENT}
CREATED: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "The record exists, durably.",
        "content": _CONTENT,
        "headers": _HEADERS
        | {"Location": {"description": "The record.", "schema": {"type": "string"}, "required": True}},
    },
    **documented(*CREATE_REFUSALS),
}
CREATING: Final[dict[str, Any]] = {
    "responses": CREATED,
    "response_class": Response,
    "response_model": None,
    "openapi_extra": CREATE_HEADERS,
}
"""What every operation that makes a record says of itself."""
