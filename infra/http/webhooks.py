"""Webhooks over HTTP: registered, changed, resumed and removed by an administrator, and how they do."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from infra import json
from infra.http.auth import Administrator
from infra.http.commands import (
    CHANGE_HEADERS,
    CREATE_HEADERS,
    Administering,
    Applied,
    CommandBody,
    RecordId,
    Verb,
    add_verbs,
)
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import COMMAND_REFUSALS, CREATE_REFUSALS, documented
from infra.http.reading import Page, Position
from infra.http.values import Line, Moment
from infra.webhooks.endpoints import Seen
from services.ports import Outcome

router = APIRouter(tags=["webhooks"])
WEBHOOKS: Final = "/v1/webhooks"

Url = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$",
        description="Public in the log: no user, password, query or fragment, and no secret in its path.",
        examples=["https://hooks.example.com/lethe"],
    ),
]
Types = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)?$", max_length=80)], ...],
    Field(
        max_length=200,
        description="Events of these types, or of these kinds of record; none: all.",
        examples=[["lead.won", "customer"]],
    ),
]
Description = Annotated[
    Line | None, Field(description="What it is for: nothing about a person.", examples=["billing"])
]


class RegisterWebhook(CommandBody):
    """Send events to an address, each signed, until it is removed."""

    url: Url
    types: Types = ()
    description: Description = None
    after: Position | None = Field(
        None,
        description="From the first event after this position; 0: from the beginning; absent: from now on.",
        examples=[None],
    )


class ChangeWebhook(CommandBody):
    """Say where and what is sent from now on: all of it."""

    url: Url
    types: Types = ()
    description: Description = None


class RotateSecret(CommandBody):
    """Sign with a new secret, and with the one before it beside it for a while."""

    overlap_hours: int = Field(
        24, ge=0, le=168, description="How long the old secret signs too.", examples=[24]
    )


class ResumeWebhook(CommandBody):
    """Send to a parked webhook again: from where it stopped, or from after a position."""

    after: Position | None = Field(
        None, description="Absent: nothing is left out. Else what lies between is.", examples=[None]
    )


class ReplayWebhook(CommandBody):
    """Send everything after a position again."""

    after: Position = Field(examples=[0])


class RemoveWebhook(CommandBody):
    """Send nothing there any more. Its history stays."""


class WebhookRecord(BaseModel):
    """A webhook, and how delivery to it does."""

    id: UUID
    version: int
    position: int
    url: str
    types: list[str]
    description: str | None
    registered_at: Moment
    state: str = Field(description="active or parked.", examples=["active"])
    cause: str | None = Field(description="Why it is parked: gone (410) or gave_up.")
    parked_at: Moment | None
    cursor: int = Field(description="Up to here everything has arrived, what is blocked excepted.")
    lag: int = Field(description="How many positions the cursor is behind the end of the log.")
    blocked: int = Field(description="Records whose events wait for one that did not arrive.")
    next_attempt_at: Moment | None = Field(description="When the first of those is sent again.")
    last_attempt_at: Moment | None
    last_success_at: Moment | None
    last_status: int | None = Field(description="The status of the last answer; null: none came.")
    last_fault: str | None = Field(
        description="What went wrong the last time: a kind, such as timed_out.", examples=["refused"]
    )


class AppliedWithSecret(Applied):
    """What a command answers that makes a secret."""

    secret: str = Field(
        description="Shown to whoever commands this, and to nobody else.", examples=["whsec_..."]
    )


class PingAnswer(BaseModel):
    """What came of a test delivery."""

    event_id: UUID = Field(description="The `webhook-id` that was sent.")
    arrived: bool
    status: int | None
    fault: str | None
    milliseconds: float


_WITH_SECRET: Final[dict[str, Any]] = {
    "model": AppliedWithSecret,
    "description": "The command is durable. The secret is shown now, and never again.",
}


@router.post(
    WEBHOOKS,
    status_code=201,
    responses={201: _WITH_SECRET, **documented(*CREATE_REFUSALS)},
    response_model=None,
    openapi_extra=CREATE_HEADERS,
)
async def register_webhook(body: RegisterWebhook, command: Administering) -> Response:
    """Send events to an address, as CloudEvents signed by the Standard Webhooks specification.

    At least once each, a record's in order; personal data in its boxes. The secret is in this answer only.
    """
    door = command.door
    id = command.derived_id("webhook")
    outcome = await door.webhooks.register(id=id, context=command.context(body), **body.fields())
    return await _with_secret(door, outcome, 201, {"Location": f"{WEBHOOKS}/{id}"})


@router.post(
    WEBHOOKS + "/{id}/rotate",
    responses={200: _WITH_SECRET, **documented(*COMMAND_REFUSALS)},
    response_model=None,
    openapi_extra=CHANGE_HEADERS,
)
async def rotate_secret(
    id: RecordId, command: Administering, body: Annotated[RotateSecret, Body(default_factory=RotateSecret)]
) -> Response:
    """Sign with a new secret from now on; the one before it signs beside it for a while."""
    door = command.door
    outcome = await door.webhooks.rotate(
        id=id,
        context=command.context(body),
        expected_version=command.expected_version,
        overlap_hours=body.overlap_hours,
    )
    return await _with_secret(door, outcome, 200, {})


async def _with_secret(
    door: Dependencies, outcome: Outcome, status: int, headers: dict[str, str]
) -> Response:
    secret = await door.webhook_desk.secret(outcome.id, outcome.version)
    body = AppliedWithSecret(
        id=outcome.id,
        subject_id=outcome.subject_id,
        version=outcome.version,
        position=outcome.position,
        secret=secret,
    )
    kept = {"ETag": f'"{outcome.version}"', "Cache-Control": "no-store", **headers}
    return Response(json.encode(body.model_dump()), status, kept, media_type="application/json")


add_verbs(
    router,
    WEBHOOKS,
    (
        Verb("change", ChangeWebhook, lambda door: door.webhooks.change),
        Verb("resume", ResumeWebhook, lambda door: door.webhooks.resume),
        Verb("replay", ReplayWebhook, lambda door: door.webhooks.replay),
        Verb("remove", RemoveWebhook, lambda door: door.webhooks.remove),
    ),
    commanding=Administering,
)


@router.get(WEBHOOKS, responses=documented(401, 403, 503))
async def list_webhooks(door: Door, token: Administrator) -> Page[WebhookRecord]:
    """Every webhook that is not removed, and how delivery to it does."""
    return Page(items=[_record(it) for it in await door.webhook_desk.all()], next=None)


@router.get(WEBHOOKS + "/{id}", responses=documented(401, 403, 404, 422, 503))
async def read_webhook(id: RecordId, door: Door, token: Administrator) -> WebhookRecord:
    """One webhook: its state, how far it is, what is blocked, and what the last attempt came to."""
    return _record(await door.webhook_desk.one(id))


@router.post(WEBHOOKS + "/{id}/ping", responses=documented(400, 401, 403, 404, 413, 415, 422, 503))
async def ping_webhook(id: RecordId, door: Door, token: Administrator) -> PingAnswer:
    """Send a signed test event (`lethe.ping`) now, once, and say what came of it. Parked ones too."""
    pinged = await door.webhook_desk.ping(id)
    answer = pinged.answer
    return PingAnswer(
        event_id=pinged.event_id,
        arrived=answer.fault is None,
        status=answer.status,
        fault=answer.fault,
        milliseconds=pinged.milliseconds,
    )


def _record(seen: Seen) -> WebhookRecord:
    it, progress = seen.endpoint, seen.progress
    return WebhookRecord(
        id=it.id,
        version=it.version,
        position=it.position,
        url=it.url,
        types=list(it.types),
        description=it.description,
        registered_at=it.registered_at,
        state=it.state,
        cause=it.cause,
        parked_at=it.parked_at,
        cursor=progress.cursor,
        lag=seen.lag,
        blocked=progress.blocked,
        next_attempt_at=progress.next_attempt_at if it.cause is None else None,
        last_attempt_at=progress.last_attempt_at,
        last_success_at=progress.last_success_at,
        last_status=progress.last_status,
        last_fault=progress.last_fault,
    )
