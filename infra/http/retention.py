"""Retention policies over HTTP: setting them, their history, and what they would do."""

from contextlib import aclosing
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from domain.retention.events import RetentionSet
from infra.http.auth import Comply
from infra.http.commands import CREATED, CREATING, CommandBody, Complying, RecordId, Verb, add_verbs
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import ListQuery, Page, ReadQuery, cursor_of, filter_of, next_page, wait_for
from infra.http.values import FreeText, Line, Moment
from projections.rights import RetentionFilter
from services.retention import CATEGORIES_OF, CATEGORIES_OF_PART, Because, Finding

router = APIRouter(tags=["retention"])
RETENTION: Final = "/v1/retention"
DAYS_MAX: Final = 36_525
RecordKind = StrEnum(  # type: ignore[misc]  # the catalogue says which kinds of records hold personal data
    "RecordKind", [kind for kind in CATEGORIES_OF if CATEGORIES_OF[kind] | CATEGORIES_OF_PART[kind]]
)


class SetRetention(CommandBody):
    """Say how long records of a kind need a category of personal data, and on what legal ground."""

    kind: RecordKind = Field(examples=["ticket"])
    category: Category = Field(examples=["conversation"])
    days: int = Field(ge=1, le=DAYS_MAX, examples=[1095])
    after: tuple[Line, ...] = Field(
        min_length=1,
        max_length=20,
        description="The days count from the latest of these events of the record, unless it was taken back; "
        "or from `last_activity`, which stands alone.",
        examples=[["ticket.closed"]],
    )
    legal_reason: FreeText = Field(examples=["Limitation of claims: three years."])


class WithdrawRetention(CommandBody):
    """Records of this kind keep the category without an end again."""


class RetentionRecord(BaseModel):
    """How long records of a kind need a category of personal data."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: int
    position: int
    kind: str
    category: Category
    days: int
    after: list[str]
    legal_reason: str
    set_at: Moment
    withdrawn_at: Moment | None


class TermRecord(BaseModel):
    """What a policy said for a time; `until` null: it says so still."""

    days: int
    after: list[str]
    legal_reason: str
    since: Moment
    until: Moment | None
    actor: str = Field(description="Who set it.")


class RetentionHistory(BaseModel):
    """Everything a policy ever said, in order."""

    items: list[TermRecord]


class RetentionQuery(ListQuery):
    kind: RecordKind | None = None
    category: Category | None = None
    living: bool | None = Field(None, description="True: not withdrawn.")


class KeepRecord(BaseModel):
    """Why data that is past a policy is kept all the same."""

    model_config = ConfigDict(from_attributes=True)

    because: Because
    record_id: UUID | None = Field(description="The record that needs it; null: a hold or a restriction.")
    kind: str | None
    until: Moment | None


class FindingRecord(BaseModel):
    """A category of a person's data of which at least one record is past its policy."""

    model_config = ConfigDict(from_attributes=True)

    subject_id: UUID
    category: Category
    since: Moment = Field(description="When its time was up, for the records that are past it.")
    due: bool = Field(description="It goes with the next run.")
    keeps: list[KeepRecord] = Field(description="What keeps it; empty: nothing.")


@router.post(RETENTION, status_code=201, **CREATING | {"responses": CREATED | documented(404)})
async def set_retention(body: SetRetention, command: Complying) -> Response:
    """Say how long records of a kind need a category. Set again, the former term stays in the history.

    A category of a person's data is erased, by the scheduler, once every record that names them and holds
    such data is past its policy. A record without a policy keeps it without an end.
    """
    return await command.create(command.door.retentions.set, body, f"{RETENTION}/{{id}}")


@router.get(RETENTION, responses=documented(*READ_REFUSALS))
async def list_retention(
    door: Door, token: Comply, query: Annotated[RetentionQuery, Query()]
) -> Page[RetentionRecord]:
    """Retention policies, in order of id."""
    await wait_for(door, query)
    rows = await door.views.rights.list_policies(
        filter_of(query, RetentionFilter), limit=query.limit, after=query.after()
    )
    items = [RetentionRecord.model_validate(row) for row in rows]
    return Page(items=items, next=next_page(rows, query.limit))


@router.get(f"{RETENTION}/plan", responses=documented(*READ_REFUSALS))
async def plan_retention(
    door: Door, token: Comply, query: Annotated[ListQuery, Query()]
) -> Page[FindingRecord]:
    """What is past a policy now, person by person: what would go with the next run, and what keeps the rest.

    `limit` counts people. Nothing is erased by asking. It is computed from the whole timeline each time.
    """
    await wait_for(door, query)
    people: list[list[Finding]] = []
    async with aclosing(door.retention.plan(door.clock.now(), after=query.after())) as plan:
        async for found in plan:
            people.append(found)
            if len(people) == query.limit:
                break
    items = [FindingRecord.model_validate(it) for found in people for it in found]
    goes_on = cursor_of(people[-1][0].subject_id) if len(people) == query.limit else None
    return Page(items=items, next=goes_on)


@router.get(f"{RETENTION}/{{id}}", responses=documented(404, *READ_REFUSALS))
async def read_retention(
    id: RecordId, door: Door, token: Comply, query: Annotated[ReadQuery, Query()], response: Response
) -> RetentionRecord:
    """A retention policy."""
    await wait_for(door, query)
    row = await door.views.rights.policy(id)
    if row is None:
        raise NotFound
    response.headers["ETag"] = f'"{row.version}"'
    return RetentionRecord.model_validate(row)


@router.get(f"{RETENTION}/{{id}}/history", responses=documented(404, *READ_REFUSALS))
async def read_retention_history(id: RecordId, door: Door, token: Comply) -> RetentionHistory:
    """Everything a policy ever said: from when until when, and who set it."""
    items: list[TermRecord] = []
    for recorded in await door.histories.of(id):
        event, until = recorded.event, recorded.event.timestamp
        if items and items[-1].until is None:
            items[-1] = items[-1].model_copy(update={"until": until})
        if isinstance(event, RetentionSet):
            items.append(_term(event, until, recorded.envelope.actor))
    if not items:
        raise NotFound
    return RetentionHistory(items=items)


def _term(event: RetentionSet, since: datetime, actor: str) -> TermRecord:
    return TermRecord(
        days=event.days,
        after=list(event.after),
        legal_reason=event.legal_reason,
        since=since,
        until=None,
        actor=actor,
    )


add_verbs(
    router,
    RETENTION,
    (Verb("withdraw", WithdrawRetention, lambda door: door.retentions.withdraw),),
    commanding=Complying,
)
