"""Consents over HTTP, and asking whether there is a lawful basis for a purpose."""

from datetime import date
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.values import Channel
from infra.http.auth import Reader
from infra.http.bodies import EXAMPLE_ID
from infra.http.clearing import show
from infra.http.commands import CREATED, CREATING, CommandBody, Creating, RecordId, Verb, add_verbs
from infra.http.declared import PURPOSE_CODE
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import (
    DECLARED,
    ListQuery,
    Page,
    ReadQuery,
    Seeing,
    filter_of,
    next_page,
    wait_for,
)
from infra.http.rights import SubjectId
from infra.http.values import FreeText, Line, Moment
from projections.rights import ConsentFilter, ConsentRow, ConsentState
from services.lawfulness import Why

router = APIRouter(tags=["consents"])
CONSENTS: Final = "/v1/consents"
Purpose = Annotated[
    str,
    Field(
        pattern=f"^{PURPOSE_CODE.pattern}$",
        description="The code of a processing activity.",
        examples=["newsletter"],
    ),
]


class GiveConsent(CommandBody):
    """Record that the person agreed to a purpose, in this wording, and what shows it (GDPR, article 7)."""

    purpose: Purpose
    channel: Channel | None = Field(
        None, description="Through which channel; absent: through all of them.", examples=["email"]
    )
    wording_version: Line = Field(description="The version of what they agreed to.", examples=["2026-02"])
    source: Line = Field(description="Where they agreed.", examples=["web form"])
    expires_on: date | None = Field(
        None, description="The last day it holds, in UTC.", examples=["2028-03-04"]
    )
    evidence: FreeText | None = Field(
        None, description="What shows that they did. Sealed.", examples=["Ticked box 2, confirmed by link."]
    )


class WithdrawConsent(CommandBody):
    """Record that the person took the consent back: from the answer on it is no basis any more."""


class ConsentRecord(BaseModel):
    """A person's consent to one purpose through one channel, as it was given last."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    subject_id: UUID
    version: int
    position: int
    purpose: str
    channel: Channel | None = Field(description="Null: through all of them.")
    state: ConsentState
    wording_version: str
    source: str
    given_at: Moment
    expires_on: date | None
    ended_at: Moment | None
    evidence: str | None
    erased: bool
    restricted: bool


class ConsentQuery(ListQuery):
    subject_id: UUID | None = None
    purpose: Purpose | None = None
    channel: Channel | None = None
    state: ConsentState | None = None
    over_on: date | None = Field(None, description="Whose last day is before this one.")


class Mailing(BaseModel):
    """Ask for many people at once, as a mailing does before it goes out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: Purpose
    channel: Channel | None = Field(
        None, description="Through which channel; absent: a consent through any counts.", examples=["email"]
    )
    subject_ids: list[UUID] = Field(min_length=1, max_length=1_000, examples=[[EXAMPLE_ID]])


class LawfulRecord(BaseModel):
    """The answer for one person."""

    subject_id: UUID
    allowed: bool
    why: Why = Field(description="What the answer rests on.", examples=["consent"])
    until: date | None = Field(description="The last day of the consent it rests on, where it has one.")


class Lawfulnesses(BaseModel):
    """An answer for each person that was asked for, in that order, each once."""

    items: list[LawfulRecord]


@router.post(
    "/v1/subjects/{id}/consents", status_code=201, **CREATING | {"responses": CREATED | documented(404)}
)
async def give_consent(id: SubjectId, body: GiveConsent, command: Creating) -> Response:
    """Record that the person agreed. A purpose and a channel have one consent, however often it is given."""
    return await command.create(command.door.consents.give, body, f"{CONSENTS}/{{id}}", subject_id=id)


@router.get(CONSENTS, responses=documented(*READ_REFUSALS), openapi_extra=DECLARED)
async def list_consents(
    door: Door, reading: Seeing, query: Annotated[ConsentQuery, Query()]
) -> Page[ConsentRecord]:
    """Consents in order of id, filtered by field."""
    await wait_for(door, query)
    rows = await door.views.rights.list_consents(
        filter_of(query, ConsentFilter), limit=query.limit, after=query.after()
    )
    return Page(items=await _shown(reading, rows), next=next_page(rows, query.limit))


@router.get(f"{CONSENTS}/{{id}}", responses=documented(404, *READ_REFUSALS), openapi_extra=DECLARED)
async def read_consent(
    id: RecordId, door: Door, reading: Seeing, query: Annotated[ReadQuery, Query()], response: Response
) -> ConsentRecord:
    """A consent, as it was given last, and whether it was taken back."""
    await wait_for(door, query)
    row = await door.views.rights.consent(id)
    if row is None:
        raise NotFound
    response.headers["ETag"] = f'"{row.version}"'
    return (await _shown(reading, [row]))[0]


async def _shown(reading: Seeing, rows: list[ConsentRow]) -> list[ConsentRecord]:
    shown = await show(reading, rows)
    return [ConsentRecord.model_validate(shown.fields_of(row)) for row in shown.rows]


@router.post("/v1/lawfulness", responses=documented(400, 409, 413, 415, *READ_REFUSALS))
async def ask_lawfulness(door: Door, token: Reader, body: Mailing) -> Lawfulnesses:
    """Ask for whom there is a lawful basis for a purpose now: nobody is written to whom this does not allow.

    Consents count from their answers on, and so do withdrawals: there is no stale yes. Who is restricted or
    erased is not allowed, whatever the basis.
    """
    found = await door.lawfulness.check(body.subject_ids, body.purpose, body.channel, door.clock.now())
    return Lawfulnesses(
        items=[
            LawfulRecord(subject_id=id, allowed=it.allowed, why=it.why, until=it.until)
            for id, it in found.items()
        ]
    )


add_verbs(router, CONSENTS, (Verb("withdraw", WithdrawConsent, lambda door: door.consents.withdraw),))
