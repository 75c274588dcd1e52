"""Dead letters over HTTP: the records that a view cannot go on with, and what ends that."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from infra.deadletters import BEGINNING
from infra.http.auth import Administrator
from infra.http.commands import RecordId
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import ListQuery, Page, cursor_of
from infra.http.values import Moment

LETTERS: Final = "/v1/deadletters"
VERSION_MAX: Final = 2**63 - 1
VIEWS_MAX: Final = 50
LAST_VIEW: Final = "~"  # after every name
REFUSALS: Final = (400, 401, 403, 413, 415, 422, 503)
router = APIRouter(tags=["dead letters"])

ViewName = Annotated[
    str,
    Field(pattern="^[a-z][a-z_]{0,39}$", description="The view, or another follower.", examples=["tickets"]),
]


class DeadLetter(BaseModel):
    """A parked record. What went wrong is named by class and place: its text may quote data."""

    model_config = ConfigDict(from_attributes=True)

    view: str
    record_id: UUID
    version: int = Field(description="Of the event that could not be digested.")
    position: int
    topic: str
    error: str
    place: str
    parked_at: Moment
    held_back: int = Field(description="How many later events of the record wait behind it.")


class SkippedEvent(BaseModel):
    """An event that a view goes on without."""

    model_config = ConfigDict(from_attributes=True)

    view: str
    record_id: UUID
    version: int
    position: int
    topic: str
    error: str
    place: str
    skipped_at: Moment
    actor: str
    reason: str


class DeadRecord(BaseModel):
    """Where the record is parked, and which of its events were skipped."""

    dead_letters: list[DeadLetter]
    skipped: list[SkippedEvent]


class LetterQuery(ListQuery):
    view: ViewName | None = None


class Retry(BaseModel):
    """Try again what is parked, after the fix."""

    model_config = ConfigDict(extra="forbid")

    view: ViewName | None = Field(None, description="Absent: every view.")


class SkipEvent(BaseModel):
    """Go on without the event at which the record is parked, for good."""

    model_config = ConfigDict(extra="forbid")

    view: ViewName
    version: int = Field(ge=1, le=VERSION_MAX, description="The event's.", examples=[2])
    reason: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9 ._/#:-]{2,99}$",
        description="A code, such as a change's number. Kept in clear: nothing about a person.",
        examples=["CHG-1042"],
    )


class RetriedRecords(BaseModel):
    """What came of it."""

    model_config = ConfigDict(from_attributes=True)

    tried: int
    drained: int = Field(description="How many records wait no more.")


@router.get(LETTERS, responses=documented(*READ_REFUSALS))
async def list_dead_letters(
    door: Door, token: Administrator, query: Annotated[LetterQuery, Query()]
) -> Page[DeadLetter]:
    """The parked records, in order of their ids; `limit` counts records, each with all its views."""
    found: list[DeadLetter] = []
    ids: set[UUID] = set()
    after = BEGINNING if (last := query.after()) is None else (last, LAST_VIEW)
    limit = query.limit * VIEWS_MAX
    for it in await door.dead_letters.letters(view=query.view, limit=limit, after=after):
        if it.record_id not in ids and len(ids) == query.limit:
            return Page(items=found, next=cursor_of(found[-1].record_id))
        ids.add(it.record_id)
        found.append(DeadLetter.model_validate(it))
    return Page(items=found, next=None)


@router.get(f"{LETTERS}/{{id}}", responses=documented(404, *READ_REFUSALS))
async def read_dead_letters(id: RecordId, door: Door, token: Administrator) -> DeadRecord:
    """Everything about one record: where it waits, and what was skipped of it, by whom and why."""
    letters = await door.dead_letters.letters(record_id=id)
    skipped = await door.dead_letters.skipped(id)
    if not letters and not skipped:
        raise NotFound
    return DeadRecord(
        dead_letters=[DeadLetter.model_validate(it) for it in letters],
        skipped=[SkippedEvent.model_validate(it) for it in skipped],
    )


@router.post(f"{LETTERS}/retry", responses=documented(*REFUSALS))
async def retry_all(body: Retry, door: Door, token: Administrator) -> RetriedRecords:
    """Try again all that is parked. A projector does so, too, whenever it starts."""
    return RetriedRecords.model_validate(await door.dead_letters.retry(view=body.view))


@router.post(f"{LETTERS}/{{id}}/retry", responses=documented(*REFUSALS))
async def retry_record(id: RecordId, body: Retry, door: Door, token: Administrator) -> RetriedRecords:
    """Try one record again."""
    return RetriedRecords.model_validate(await door.dead_letters.retry(view=body.view, record_id=id))


@router.post(f"{LETTERS}/{{id}}/skip", responses=documented(404, *REFUSALS))
async def skip_event(id: RecordId, body: SkipEvent, door: Door, token: Administrator) -> RetriedRecords:
    """Skip the event; what waits behind it is shown. Who, when and why is kept."""
    try_on = door.dead_letters.skip(
        view=body.view, record_id=id, version=body.version, actor=str(token.actor_id), reason=body.reason
    )
    return RetriedRecords.model_validate(await try_on)
