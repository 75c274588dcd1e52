"""Data subjects over HTTP: what is held about a person."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from domain.privacyrequest.terms import RequestKind, RequestState
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import DECLARED, ReadQuery, Seeing, wait_for
from infra.http.records import ErasureRecord
from infra.http.values import Moment
from projections.privacy import PrivacyRequestFilter
from projections.rights import HoldFilter
from services.ports import NOTHING_STANDS, KeyState

router = APIRouter(tags=["subjects"])
HOLDS_MAX = 1_000
REQUESTS_MAX = 1_000
SubjectId = Annotated[UUID, Path(description="The data subject's id.")]


class SubjectRecordLink(BaseModel):
    """A record that names the subject."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str = Field(examples=["customer"])
    first_position: int = Field(description="Of the first event that names the subject.")


class HoldLink(BaseModel):
    """A legal hold that covers the subject."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    matter: str = Field(examples=["2026-114"])
    placed_at: Moment


class PrivacyRequestLink(BaseModel):
    """A request by which the subject exercised a right."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: RequestKind
    state: RequestState
    due_on: date


class SubjectRecord(BaseModel):
    """What is held about a person: under which keys, in which records, and what was asked to be erased."""

    id: UUID
    erased: bool
    restricted: bool = Field(description="Processing their data needs a ground: GDPR, article 18.")
    held: bool = Field(description="A legal hold stands against erasing it.")
    keys: dict[Category, KeyState] = Field(
        description="The keys that seal the person's data, by category.", examples=[{"identity": "active"}]
    )
    records: list[SubjectRecordLink]
    erasures: list[ErasureRecord]
    privacy_requests: list[PrivacyRequestLink]
    holds: list[HoldLink] = Field(description="The legal holds that cover them, as far as the views show.")


@router.get("/v1/subjects/{id}", responses=documented(404, *READ_REFUSALS), openapi_extra=DECLARED)
async def read_subject(id: SubjectId, reading: Seeing, query: Annotated[ReadQuery, Query()]) -> SubjectRecord:
    """What is held about a person, without any of it: keys, records, requests. The erased stay here."""
    door = reading.door
    await wait_for(door, query)
    view = await door.subjects.view(id)
    if view is None:
        raise NotFound
    standing = (await door.ring.standings([id])).get(id, NOTHING_STANDS)
    holds = await door.views.rights.list_holds(HoldFilter(covers=id), limit=HOLDS_MAX)
    asked = PrivacyRequestFilter(subject_id=id)
    requests = await door.views.privacy.list_requests(asked, at=door.clock.now(), limit=REQUESTS_MAX)
    await reading.note([id], (), count=1)
    return SubjectRecord(
        id=id,
        erased=view.erased,
        restricted=standing.restricted,
        held=standing.held,
        keys=dict(view.keys),
        records=[SubjectRecordLink.model_validate(record) for record in view.records],
        erasures=[ErasureRecord.of(row) for row in view.erasures],
        privacy_requests=[PrivacyRequestLink.model_validate(row) for row in requests],
        holds=[HoldLink.model_validate(row) for row in holds],
    )
