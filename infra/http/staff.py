"""What members of staff have learnt and acknowledged, over HTTP."""

from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from infra.http.auth import Comply
from infra.http.commands import CommandBody, Verb, add_verbs
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, documented
from infra.http.members import MEMBERS
from infra.http.reading import ListQuery, Page, filter_of, next_page, wait_for
from infra.http.values import Line, Moment
from projections.rights import StaffFilter

router = APIRouter(tags=["members"])
On = Annotated[date, Field(description="The day it was done.", examples=["2026-03-02"])]
LastDay = Annotated[
    date | None, Field(description="The last day it counts; null: it does not end.", examples=["2027-03-31"])
]


class TrainMember(CommandBody):
    """They took a course."""

    course: Line = Field(description="A code.", examples=["privacy-basics"])
    version: Line = Field(examples=["2026"])
    on: On
    expires_on: LastDay = None


class AcknowledgePolicy(CommandBody):
    """They read a policy, and will keep to it."""

    policy: Line = Field(description="A code.", examples=["acceptable-use"])
    version: Line = Field(examples=["4"])
    on: On
    expires_on: LastDay = None


class Credential(BaseModel):
    """Something a member has learnt or acknowledged, as it was last."""

    sort: Literal["course", "policy"]
    name: str
    version: str
    on: date
    expires_on: date | None


class StaffRecord(BaseModel):
    """What a member has learnt and acknowledged."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(description="The member's.")
    version: int
    position: int
    left_at: Moment | None
    expires_first: date | None = Field(description="The first last day among them.")
    credentials: list[Credential]


class StaffQuery(ListQuery):
    present: bool | None = Field(None, description="True: has not left.")
    over_on: date | None = Field(None, description="With something whose last day is before this one.")


@router.get("/v1/credentials", responses=documented(*READ_REFUSALS))
async def list_credentials(
    door: Door, token: Comply, query: Annotated[StaffQuery, Query()]
) -> Page[StaffRecord]:
    """What members have learnt and acknowledged, in order of id; `over_on` shows what has expired."""
    await wait_for(door, query)
    rows = await door.views.rights.list_staff(
        filter_of(query, StaffFilter), limit=query.limit, after=query.after()
    )
    return Page(items=[StaffRecord.model_validate(row) for row in rows], next=next_page(rows, query.limit))


VERBS: Final = (
    Verb("train", TrainMember, lambda door: door.members.train),
    Verb("acknowledge", AcknowledgePolicy, lambda door: door.members.acknowledge),
)
add_verbs(router, MEMBERS, VERBS)
