"""Subscribers over HTTP: registered, granted, revoked and ended; with their tokens."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from domain.subscriber.aggregate import NAME
from infra.accesslog import AccessFilter
from infra.http.auth import Administrator, Comply
from infra.http.commands import (
    APPLIED,
    CHANGE_HEADERS,
    CREATED,
    CREATING,
    CommandBody,
    Complying,
    RecordId,
    Verb,
    add_verbs,
)
from infra.http.consents import Purpose
from infra.http.dependencies import Door
from infra.http.errors import COMMAND_REFUSALS, READ_REFUSALS, Malformed, NotFound, documented
from infra.http.reading import ListQuery, Page, ReadQuery, filter_of, next_page, wait_for
from infra.http.tokens import MintedToken
from infra.http.values import Moment
from projections.subscribers import SubscriberFilter

SUBSCRIBERS: Final = "/v1/subscribers"
UNACKNOWLEDGED_MAX: Final = 200
router = APIRouter(tags=["subscribers"])
Name = Annotated[
    str,
    Field(pattern=f"^{NAME.pattern}$", description="A code: a system's, for good.", examples=["newsletter"]),
]


class RegisterSubscriber(CommandBody):
    """Write down a program that follows the events, and what for. It opens nothing until it is granted."""

    name: Name
    purpose: Purpose


class GrantCategories(CommandBody):
    """Let the subscriber open these categories for a purpose; absent: for its own.

    A purpose that the register of processing knows is held to it: of whom there is no lawful basis, nothing
    is opened.
    """

    categories: tuple[Category, ...] = Field(min_length=1, max_length=20, examples=[["identity", "contact"]])
    purpose: Purpose | None = None


class RevokeCategories(CommandBody):
    """Let the subscriber open these categories no more; where none is named, nothing at all."""

    categories: tuple[Category, ...] = Field((), max_length=20, examples=[["contact"]])


class EndSubscriber(CommandBody):
    """The subscriber follows no more: its grants are void, its tokens end, its name is never given again."""


class Grant(BaseModel):
    """What a subscriber may open now."""

    category: Category
    purpose: str
    granted_at: Moment


class SubscriberRecord(BaseModel):
    """A subscriber as things stand."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(description="What it does is recorded under this id.")
    version: int
    position: int
    name: str
    purpose: str
    registered_at: Moment
    ended_at: Moment | None
    grants: list[Grant]


class SubscriberToken(BaseModel):
    """A token that stands, without the token."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: Moment
    expires_at: Moment | None


class SubscriberDetails(SubscriberRecord):
    """A subscriber with its tokens, its last use, and what it has to acknowledge."""

    tokens: list[SubscriberToken]
    last_used_at: Moment | None = Field(description="When it was last shown personal data.")
    unacknowledged: list[UUID] = Field(
        description=f"Erasures that it has not acknowledged, oldest first; {UNACKNOWLEDGED_MAX} at most."
    )


class SubscriberQuery(ListQuery):
    name: Name | None = None
    living: bool | None = Field(None, description="True: not ended.")


class NewSubscriberToken(BaseModel):
    """Until when the token counts."""

    model_config = ConfigDict(extra="forbid")

    expires_at: Moment | None = Field(None, examples=[None])


@router.post(SUBSCRIBERS, status_code=201, **CREATING | {"responses": CREATED})
async def register_subscriber(body: RegisterSubscriber, command: Complying) -> Response:
    """Write down a program that follows the events, and what for. It opens nothing until it is granted.

    It is named on the certificate of every erasure from now on, until it has acknowledged it.
    """
    return await command.create(command.door.subscribers.register, body, f"{SUBSCRIBERS}/{{id}}")


@router.get(SUBSCRIBERS, responses=documented(*READ_REFUSALS))
async def list_subscribers(
    door: Door, token: Comply, query: Annotated[SubscriberQuery, Query()]
) -> Page[SubscriberRecord]:
    """Who follows the events, and may open what; in order of id."""
    await wait_for(door, query)
    rows = await door.views.subscribers.list_subscribers(
        filter_of(query, SubscriberFilter), limit=query.limit, after=query.after()
    )
    items = [SubscriberRecord.model_validate(row) for row in rows]
    return Page(items=items, next=next_page(rows, query.limit))


@router.get(f"{SUBSCRIBERS}/{{id}}", responses=documented(404, *READ_REFUSALS))
async def read_subscriber(
    id: RecordId, door: Door, token: Comply, query: Annotated[ReadQuery, Query()], response: Response
) -> SubscriberDetails:
    """A subscriber: what it may open since when, its tokens, its last use, and what it has to acknowledge."""
    await wait_for(door, query)
    row = await door.views.subscribers.subscriber(id)
    if row is None:
        raise NotFound
    response.headers["ETag"] = f'"{row.version}"'
    now = door.clock.now()
    tokens = [it for it in await door.tokens.all() if it.actor_id == id and it.is_valid(now)]
    used = await door.accesses.store.find(AccessFilter(actor_id=id), limit=1)
    waiting = await door.views.subscribers.unacknowledged(row, limit=UNACKNOWLEDGED_MAX)
    return SubscriberDetails(
        **SubscriberRecord.model_validate(row).model_dump(),
        tokens=[SubscriberToken.model_validate(it) for it in tokens],
        last_used_at=used[0].access.at if used else None,
        unacknowledged=waiting,
    )


@router.post(
    f"{SUBSCRIBERS}/{{id}}/tokens",
    status_code=201,
    responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 503),
)
async def mint_subscriber_token(
    id: RecordId, body: NewSubscriberToken, door: Door, token: Administrator, response: Response
) -> MintedToken:
    """Make a token that acts as the subscriber, of scope `subscribe`. Nothing else ever shows it."""
    _check_future(body.expires_at, door.clock.now())
    token_id, minted = await door.subscribers.mint(id, expires_at=body.expires_at)
    response.headers["Location"] = f"/v1/tokens/{token_id}"
    response.headers["Cache-Control"] = "no-store"
    return MintedToken(id=token_id, actor_id=id, token=minted)


@router.post(
    f"{SUBSCRIBERS}/{{id}}/end",
    operation_id="subscribers_end",
    responses={200: APPLIED, **documented(*COMMAND_REFUSALS)},
    response_class=Response,
    response_model=None,
    openapi_extra=CHANGE_HEADERS,
)
async def end_subscriber(
    id: RecordId,
    command: Complying,
    request: Request,
    body: Annotated[EndSubscriber, Body(default_factory=EndSubscriber)],
) -> Response:
    """The subscriber follows no more: its grants are void, its tokens end, its name is never given again.

    It opens nothing from now on. As for the feed, other processes may know its tokens for 10 seconds more.
    """
    answered = await command.change(command.door.subscribers.end, body, id)
    request.app.state.authenticator.forget()
    return answered


def _check_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise Malformed("It must lie in the future.", field="expires_at", rule="past")


add_verbs(
    router,
    SUBSCRIBERS,
    (
        Verb("grant", GrantCategories, lambda door: door.subscribers.grant),
        Verb("revoke", RevokeCategories, lambda door: door.subscribers.revoke),
    ),
    commanding=Complying,
)
