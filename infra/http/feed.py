"""The feed: the log's events over HTTP as CloudEvents, in order, personal data in its boxes."""

from typing import Annotated, Any, Final

from eventsourcing.persistence import Notification
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from infra import json
from infra.http.auth import Reader
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, documented
from infra.http.reading import Position
from infra.http.reading import Query as Parameters
from services.ports import ENVELOPE_MAY_LACK

WAIT_SECONDS_MAX: Final = 30
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


@router.get("/v1/events", responses=documented(*READ_REFUSALS), response_model=Feed)
async def read_events(door: Door, token: Reader, query: Annotated[FeedQuery, Query()]) -> Response:
    """Events of the log in order, from the first after a position. With `wait`, a long poll."""
    found = await door.reader.read(query.after, query.limit)
    if not found and query.wait and await door.reader.wait(query.after, query.wait):
        found = await door.reader.read(query.after, query.limit)
    wanted = frozenset(query.types.split(",")) if query.types else None
    items = [
        cloud_event(it, door.namespace)
        for it in found
        if wanted is None or it.topic in wanted or it.topic.partition(".")[0] in wanted
    ]
    document = {"items": items, "next": found[-1].id if found else query.after}
    return Response(json.encode(document), media_type="application/json")


def cloud_event(notification: Notification, namespace: str) -> dict[str, Any]:
    """The stored event, reshaped: nothing is opened."""
    state = json.decode(notification.state)
    optional = {name.replace("_", ""): state.get(name) for name in ENVELOPE_MAY_LACK}
    return {
        "specversion": "1.0",
        "id": state["id"],
        "source": f"/lethe/{namespace}",
        "type": notification.topic,
        "subject": str(notification.originator_id),
        "time": state["recorded_at"],
        "dataschema": f"urn:lethe:schema:{notification.topic}:{state['version']}",
        "datacontenttype": "application/json",
        "position": notification.id,
        "aggregateversion": notification.originator_version,
        "occurredat": state["occurred_at"],
        "actor": state["actor"],
        "commandid": state["command_id"],
        "correlationid": state["correlation_id"],
        **{name: value for name, value in optional.items() if value is not None},
        "data": state["data"] | {"sealed": state["sealed"]},
    }
