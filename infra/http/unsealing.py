"""Unsealing over HTTP: a subscriber names events, and is told what of them it is granted."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from infra import json
from infra.http.auth import Subscriber
from infra.http.dependencies import Door
from infra.http.errors import documented
from infra.http.reading import POSITION_MAX, reading_of

POSITIONS_MAX: Final = 200
router = APIRouter(tags=["subscribers"])


class Unseal(BaseModel):
    """Which events."""

    model_config = ConfigDict(extra="forbid")

    positions: list[Annotated[int, Field(ge=1, le=POSITION_MAX)]] = Field(
        min_length=1,
        max_length=POSITIONS_MAX,
        description="Their positions in the log, as the feed and the Kafka records have them.",
        examples=[[4711]],
    )


class UnsealedEvent(BaseModel):
    """What the subscriber may see of one event's personal data."""

    position: int
    values: dict[str, str | None] = Field(
        description="Every personal field of the event, the `reason` too: clear, or null."
    )
    erased: list[Category] = Field(description="These are gone for good: erase your copies, too.")
    withheld: list[Category] = Field(
        description="Not granted; or the person's processing is restricted, or lacks a lawful basis: for now."
    )


class Unsealed(BaseModel):
    """An answer for each position, in the order asked for. Where there is no event, there are no values."""

    items: list[UnsealedEvent]


@router.post(
    "/v1/unseal",
    response_model=Unsealed,
    responses=documented(400, 401, 403, 404, 413, 415, 422, 503),
)
async def unseal_events(body: Unseal, door: Door, token: Subscriber, request: Request) -> Any:
    """Open what the subscriber is granted, of the events at these positions. Each use is noted.

    Grants, erasures and restrictions count at once. 404: the log has not come to one of the positions yet.
    """
    opened, uses = await door.unsealing.open(token.actor_id, body.positions)
    reading = reading_of(request, token)
    for purpose, use in uses.items():
        declared = replace(reading.declared, purpose=purpose, ground=None)
        await replace(reading, declared=declared).note(use.subjects, use.categories, count=use.events)
    items = [
        {
            "position": it.position,
            "values": it.values,
            "erased": sorted(it.erased),
            "withheld": sorted(it.withheld),
        }
        for it in opened
    ]
    return Response(
        json.encode({"items": items}), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
