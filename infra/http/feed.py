"""The feed: the log's events over HTTP as CloudEvents, in order, personal data in its boxes.

Asked for JSON it answers pages, and waits for the next event where told to; asked for `text/event-stream` it
goes on for as long as the client stays.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from eventsourcing.persistence import Notification
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from infra import json
from infra.cloudevents import Wanted, cloud_event
from infra.http.auth import Authenticator, Follower
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, Malformed, documented
from infra.http.reading import POSITION_MAX, Position
from infra.http.reading import Query as Parameters
from services.ports import Unavailable

WAIT_SECONDS_MAX: Final = 30
STREAM: Final = "text/event-stream"
HEARTBEAT_SECONDS: Final = 15.0
CHECK_SECONDS: Final = 4.0
"""How often a stream asks whether its token still holds; with what is remembered of it, below 10 s."""
RETRY_MILLISECONDS: Final = 3_000
STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LAST_EVENT_ID: Final[dict[str, Any]] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Of a stream: the `id` of the last event that came. It wins over `after`.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "example": "4711",
}
router = APIRouter(tags=["events"])


class FeedQuery(Parameters):
    after: Position = Field(0, description="The `next` of the last answer; 0: from the beginning.")
    limit: int = Field(100, ge=1, le=1000)
    types: str | None = Field(
        None,
        max_length=1000,
        pattern=r"^[a-z_]+(\.[a-z_]+)?(,[a-z_]+(\.[a-z_]+)?)*$",
        description="Only events of these types, or of these kinds of record, by comma.",
        examples=["lead.won,customer"],
    )
    wait: float = Field(
        0, ge=0, le=WAIT_SECONDS_MAX, description="Seconds to wait where there is nothing yet."
    )


class CloudEvent(BaseModel):
    """An event in the JSON format of CloudEvents 1.0."""

    model_config = ConfigDict(extra="forbid")

    specversion: str = Field(examples=["1.0"])
    id: str
    source: str = Field(examples=["/lethe/main"])
    type: str = Field(examples=["lead.qualified"])
    subject: str = Field(description="The record's id.")
    time: str = Field(description="When it was recorded.")
    dataschema: str = Field(examples=["urn:lethe:schema:lead.qualified:1"])
    datacontenttype: str = Field(examples=["application/json"])
    position: int
    aggregateversion: int
    occurredat: str
    actor: str
    commandid: str
    correlationid: str
    causationid: str | None = None
    traceparent: str | None = None
    onbehalfof: str | None = None
    purpose: str | None = None
    ground: str | None = None
    data: dict[str, Any] = Field(description="Public data; personal data in its boxes, under `sealed`.")


class Feed(BaseModel):
    """Events in order of position."""

    items: list[CloudEvent]
    next: int = Field(description="The `after` of the next request: how far the log was looked through.")


@router.get(
    "/v1/events",
    responses={
        200: {"content": {STREAM: {"schema": {"type": "string"}}}},
        **documented(*READ_REFUSALS),
    },
    response_model=Feed,
    openapi_extra={"parameters": [LAST_EVENT_ID]},
)
async def read_events(
    request: Request, door: Door, token: Follower, query: Annotated[FeedQuery, Query()]
) -> Response:
    """Events of the log in order, from the first after a position. With `wait`, a long poll.

    With `Accept: text/event-stream` a stream of server-sent events, `limit` and `wait` without effect: `id`
    is the position, `event` the type, `data` the event. It ends when the token does, and may end at any time:
    ask again with `Last-Event-ID`.
    """
    wanted = Wanted(frozenset(query.types.split(",")) if query.types else frozenset())
    if STREAM in request.headers.get("accept", ""):
        following = _Following(door, wanted, _begin(request.headers, query.after), _standing(request))
        # Before the answer begins: what cannot be read gets its status.
        await following.look()
        return StreamingResponse(following.events(), headers=STREAM_HEADERS, media_type=STREAM)
    found, reached = await _page(door, query, wanted)
    document = {"items": [cloud_event(it, door.namespace) for it in found], "next": reached}
    return Response(json.encode(document), media_type="application/json")


async def _page(door: Dependencies, query: FeedQuery, wanted: Wanted) -> tuple[list[Notification], int]:
    """The next of the events asked for, and how far the log was looked through."""
    loop = asyncio.get_running_loop()
    until = loop.time() + query.wait
    reached = query.after
    while True:
        found = await door.tide.read(reached, query.limit)
        if found:
            reached = found[-1].id
        items = [it for it in found if it.topic in wanted]
        remaining = until - loop.time()
        if items or remaining <= 0 or door.tide.closed:
            return items, reached
        if not found and not await door.tide.wait(reached, remaining):
            return [], reached


def _begin(headers: Mapping[str, str], after: int) -> int:
    """Where a stream begins. Raises `Malformed`."""
    last = headers.get("last-event-id", "")
    if not last:
        return after
    if not (last.isascii() and last.isdecimal()) or int(last) > POSITION_MAX:
        raise Malformed("Give the `id` of the last event, as it is.", field="Last-Event-ID", rule="pattern")
    return int(last)


@dataclass(slots=True)
class _Standing:
    """Whether the token of a stream still opens it."""

    authenticator: Authenticator
    credentials: str
    checked: float

    async def holds(self) -> bool:
        """Asked as often as one likes, it looks every few seconds. Raises `Unavailable`."""
        now = asyncio.get_running_loop().time()
        if now - self.checked < CHECK_SECONDS:
            return True
        self.checked = now
        return await self.authenticator.identify(self.credentials, age_seconds_max=CHECK_SECONDS) is not None


def _standing(request: Request) -> _Standing:
    _, _, credentials = request.headers["authorization"].partition(" ")
    return _Standing(request.app.state.authenticator, credentials, asyncio.get_running_loop().time())


class _Following:
    """One client's stream: a page in memory at a time, and the next is read when that one is sent."""

    PAGE = 100

    def __init__(self, door: Dependencies, wanted: Wanted, after: int, standing: _Standing) -> None:
        self._door, self._wanted, self._standing = door, wanted, standing
        self._reached = self._said = after
        self._page: list[Notification] = []

    async def look(self) -> bool:
        """Read the next page; False where there is nothing yet. Raises `Unavailable`."""
        found = await self._door.tide.read(self._reached, self.PAGE)
        self._page = [it for it in found if it.topic in self._wanted]
        if found:
            self._reached = found[-1].id
        return bool(found)

    async def events(self) -> AsyncIterator[bytes]:
        """The stream. A database that is away ends it in good order: the client comes back by itself."""
        loop = asyncio.get_running_loop()
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        told = loop.time()
        try:
            while await self._goes_on():
                if self._page:
                    page, self._page = self._page, []
                    yield b"".join(self._event(it) for it in page)
                    self._said, told = page[-1].id, loop.time()
                elif loop.time() - told >= HEARTBEAT_SECONDS:
                    yield self._heartbeat()
                    told = loop.time()
                if not await self.look():
                    quiet = max(0.01, told + HEARTBEAT_SECONDS - loop.time())
                    await self._door.tide.wait(self._reached, min(CHECK_SECONDS, quiet))
        except Unavailable:
            return

    async def _goes_on(self) -> bool:
        closed = self._door.tide.closed or self._door.ledger_fault() is not None
        return not closed and await self._standing.holds()

    def _event(self, notification: Notification) -> bytes:
        data = json.encode(cloud_event(notification, self._door.namespace))
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (notification.id, notification.topic.encode(), data)

    def _heartbeat(self) -> bytes:
        """A comment; and, where events went by that were not asked for, how far the client has come."""
        if self._said == self._reached:
            return b":\n\n"
        self._said = self._reached
        return b"id: %d\n:\n\n" % self._reached
