"""Privacy requests over HTTP: receiving them, answering them, and seeing which are late."""

from dataclasses import fields, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, Field
from uuid_utils.compat import uuid7

from domain.model import Category, Sealed
from domain.privacyrequest.terms import (
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
    RequestState,
)
from domain.values import Channel, ErasureGround
from infra.http.auth import Comply
from infra.http.bodies import EXAMPLE_ID
from infra.http.commands import (
    APPLIED_HEADERS,
    CHANGE_HEADERS,
    CREATED,
    CREATING,
    Applied,
    CommandBody,
    Complying,
    RecordId,
    Verb,
    add_verbs,
    answer,
)
from infra.http.dependencies import Door
from infra.http.errors import COMMAND_REFUSALS, READ_REFUSALS, Malformed, NotFound, documented
from infra.http.reading import (
    DECLARED,
    ListQuery,
    Page,
    Reading,
    ReadQuery,
    next_page,
    reading_of,
    wait_for,
)
from infra.http.values import FreeText, Moment
from projections.privacy import PrivacyRequestFilter, PrivacyRequestRow
from services.ports import NOTHING_STANDS, Ground

REQUESTS: Final = "/v1/privacy-requests"
EAST: Final = timedelta(hours=14)
"""It is never further ahead of UTC anywhere: a day that has begun nowhere is in the future."""

router = APIRouter(tags=["privacy requests"])


class ReceiveRequest(CommandBody):
    """A person exercises a right; somebody of whom nothing is held, too: then leave out `subject_id`."""

    kind: RequestKind = Field(description="Which right: GDPR, articles 15 to 21.", examples=["access"])
    channel: Channel = Field(examples=["email"])
    subject_id: UUID | None = Field(None, description="The data subject who asks.", examples=[None])
    received_on: date | None = Field(
        None, description="The day it reached us; absent: today (UTC).", examples=["2026-03-02"]
    )
    text: FreeText | None = Field(
        None, description="What they wrote: sealed.", examples=["What do you hold about me?"]
    )


class VerifyIdentity(CommandBody):
    """Say how it is known that who asks is the person, or has their authority."""

    proof: IdentityProof = Field(examples=["called_back"])


class ExtendRequest(CommandBody):
    """Take one or two months longer; once, before the first month is over. The person is told, with why."""

    months: int = Field(ge=1, le=2, examples=[2])
    ground: ExtensionGround = Field(description="GDPR, article 12(3).", examples=["complexity"])


class RefuseRequest(CommandBody):
    """Refuse the request on a ground that the law has for its kind. The person is told why."""

    ground: RefusalGround = Field(examples=["manifestly_unfounded"])


class WithdrawRequest(CommandBody):
    """The person no longer asks."""


class FulfilRequest(CommandBody):
    """Do what was asked, or say by what it was done. The identity is verified first.

    A request to erase is carried out by this; under a legal hold it stays open until the hold is lifted.
    Access and portability need a dossier made for the request, or an export.
    """

    ground: ErasureGround | None = Field(
        None, description="Of an erasure; absent: no longer necessary.", examples=["consent_withdrawn"]
    )
    categories: list[Category] = Field(
        default_factory=list, max_length=20, description="To erase; empty: everything.", examples=[[]]
    )
    export_id: UUID | None = Field(None, description="The export that gave access.", examples=[None])
    record_ids: list[UUID] = Field(
        default_factory=list, max_length=1000, description="Records it was done on.", examples=[[EXAMPLE_ID]]
    )


class Fulfilled(Applied):
    """What came of it."""

    state: RequestState
    erasure_id: UUID | None = Field(description="The erasure that was begun.")
    held: bool = Field(description="The erasure waits for a legal hold, and the request stays open with it.")


class PrivacyRequestRecord(BaseModel):
    """A privacy request as things stand, without what the person wrote."""

    id: UUID
    subject_id: UUID
    version: int
    kind: RequestKind
    channel: Channel
    state: RequestState
    received_on: date
    due_on: date = Field(description="The last day to answer, to its end in UTC.")
    overdue: bool
    notice: Notice | None = Field(description="The last reminder of this deadline.")
    identity_proof: IdentityProof | None
    identity_verified_at: Moment | None
    extended_by: int = Field(description="Months.")
    extension_ground: ExtensionGround | None
    erasure_id: UUID | None
    dossier_ids: list[UUID]
    export_id: UUID | None
    record_ids: list[UUID]
    refusal_ground: RefusalGround | None
    closed_at: Moment | None

    @classmethod
    def of(cls, row: PrivacyRequestRow, now: datetime) -> Self:
        return cls(**cls.facts(row, now))

    @staticmethod
    def facts(row: PrivacyRequestRow, now: datetime) -> dict[str, Any]:
        return {it.name: getattr(row, it.name) for it in fields(row)} | {"overdue": row.overdue(now)}


class PrivacyRequestLetter(PrivacyRequestRecord):
    """A privacy request with what the person wrote."""

    text: str | None = Field(description="null where nothing was written, or the person is erased.")
    erased: bool = Field(description="The person is erased; the request stays, to account for.")
    restricted: bool = Field(description="The processing of the person's data is restricted.")


class PrivacyRequestQuery(ListQuery):
    kind: RequestKind | None = None
    state: RequestState | None = None
    subject_id: UUID | None = None
    due_before: date | None = Field(None, description="Due before this day.")
    overdue: bool | None = Field(None, description="Open, and the last day to answer over.")

    def where(self) -> PrivacyRequestFilter:
        return PrivacyRequestFilter(
            kind=self.kind,
            state=self.state,
            subject_id=self.subject_id,
            due_before=self.due_before,
            overdue=self.overdue,
        )


@router.post(REQUESTS, status_code=201, **CREATING | {"responses": CREATED | documented(404)})
async def receive_request(body: ReceiveRequest, command: Complying) -> Response:
    """A person exercises a right: from now on it has a deadline, and somebody is reminded of it."""
    now = command.door.clock.now()
    received_on = body.received_on or now.date()
    if received_on > (now + EAST).date():
        raise Malformed("It cannot be received in the future.", field="received_on", rule="future")
    outcome = await command.door.privacy_requests.receive(
        id=uuid7(),
        subject_id=body.subject_id or uuid7(),
        known=body.subject_id is not None,
        kind=body.kind,
        channel=body.channel,
        received_on=received_on,
        text=body.text,
        context=command.context(body),
    )
    return answer(outcome, 201, {"Location": f"{REQUESTS}/{outcome.id}"})


@router.get(REQUESTS, responses=documented(*READ_REFUSALS))
async def list_requests(
    door: Door, token: Comply, query: Annotated[PrivacyRequestQuery, Query()]
) -> Page[PrivacyRequestRecord]:
    """Privacy requests in order of id, filtered by field; `overdue=true` are those that are late."""
    await wait_for(door, query)
    now = door.clock.now()
    rows = await door.views.privacy.list_requests(
        query.where(), at=now, limit=query.limit, after=query.after()
    )
    items = [PrivacyRequestRecord.of(row, now) for row in rows]
    return Page(items=items, next=next_page(rows, query.limit))


@router.get(f"{REQUESTS}/{{id}}", responses=documented(404, *READ_REFUSALS), openapi_extra=DECLARED)
async def read_request(
    id: RecordId, door: Door, token: Comply, query: Annotated[ReadQuery, Query()], request: Request
) -> PrivacyRequestLetter:
    """A privacy request, with what the person wrote. It outlives the person's erasure; their words do not."""
    await wait_for(door, query)
    row = await door.views.privacy.request(id)
    if row is None:
        raise NotFound
    facts = PrivacyRequestRecord.facts(row, door.clock.now())
    return PrivacyRequestLetter(**facts | await _letter(reading_of(request, token), row))


async def _letter(reading: Reading, row: PrivacyRequestRow) -> dict[str, Any]:
    """What the person wrote, and what stands of them. No restriction stops us from answering them."""
    opened = await reading.door.unsealer.open([row.text]) if isinstance(row.text, Sealed) else {}
    standing = (await reading.door.ring.standings([row.subject_id])).get(row.subject_id, NOTHING_STANDS)
    gone = standing.erased or Category.CONVERSATION in standing.erased_categories
    text = next((it for it in opened.values() if isinstance(it, str) and not gone), None)
    if text is not None:
        by_right = replace(reading.declared, ground=reading.declared.ground or Ground.SUBJECT_RIGHTS)
        await replace(reading, declared=by_right).note([row.subject_id], [Category.CONVERSATION], count=1)
    return {"text": text, "erased": standing.erased, "restricted": standing.restricted}


FULFILLED: Final[dict[str, Any]] = APPLIED_HEADERS | {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fulfilled"}}}
}


@router.post(
    f"{REQUESTS}/{{id}}/fulfil",
    responses={
        200: FULFILLED,
        202: FULFILLED | {"description": "Under a legal hold: done when it is lifted."},
        **documented(*COMMAND_REFUSALS),
    },
    response_class=Response,
    response_model=None,
    openapi_extra=CHANGE_HEADERS,
    description=FulfilRequest.__doc__,
)
async def fulfil(
    id: RecordId, command: Complying, body: Annotated[FulfilRequest, Body(default_factory=FulfilRequest)]
) -> Response:
    done = await command.door.privacy_requests.fulfil(
        id=id, context=command.context(body), expected_version=command.expected_version, **body.fields()
    )
    more: dict[str, Any] = {"state": done.state, "erasure_id": done.erasure_id, "held": done.held}
    return answer(done.outcome, 202 if done.held else 200, {}, **more)


add_verbs(
    router,
    REQUESTS,
    (
        Verb("verify-identity", VerifyIdentity, lambda door: door.privacy_requests.verify_identity),
        Verb("extend", ExtendRequest, lambda door: door.privacy_requests.extend),
        Verb("refuse", RefuseRequest, lambda door: door.privacy_requests.refuse),
        Verb("withdraw", WithdrawRequest, lambda door: door.privacy_requests.withdraw),
    ),
    commanding=Complying,
)
