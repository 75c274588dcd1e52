"""Restrictions and legal holds over HTTP."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from domain.values import RestrictionCause
from infra.http.auth import Comply
from infra.http.bodies import EXAMPLE_ID
from infra.http.clearing import show
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
    answer,
)
from infra.http.dependencies import Door
from infra.http.errors import COMMAND_REFUSALS, READ_REFUSALS, NotFound, documented
from infra.http.reading import ListQuery, Page, ReadQuery, filter_of, next_page, reading_of, wait_for
from infra.http.values import FreeText, Line, Moment
from projections.rights import HoldFilter, HoldRow, RestrictionFilter

router = APIRouter(tags=["rights"])
HOLDS: Final = "/v1/holds"
SubjectId = Annotated[UUID, Path(description="The data subject's id.")]
SubjectIds = Annotated[
    list[UUID],
    Field(min_length=1, max_length=1_000, description="The data subjects.", examples=[[EXAMPLE_ID]]),
]
CHANGED: Final[dict[str, Any]] = {
    "responses": {200: APPLIED, **documented(*COMMAND_REFUSALS)},
    "response_class": Response,
    "response_model": None,
    "openapi_extra": CHANGE_HEADERS,
}
"""What an operation says of itself that changes a record it names by something else than its id."""


class RestrictProcessing(CommandBody):
    """Restrict the processing of the person's data (GDPR, article 18)."""

    cause: RestrictionCause = Field(description="Article 18(1).", examples=["accuracy_contested"])


class LiftRestriction(CommandBody):
    """End the restriction. The person is told before (GDPR, article 18(3))."""


class RestrictionRecord(BaseModel):
    """Whether a person's processing is restricted."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    subject_id: UUID
    version: int
    position: int
    imposed_at: Moment = Field(description="The last time.")
    cause: RestrictionCause | None = Field(description="Null once it is lifted.")
    lifted_at: Moment | None


class RestrictionQuery(ListQuery):
    standing: bool | None = Field(None, description="True: not lifted.")
    cause: RestrictionCause | None = None


@router.post("/v1/subjects/{id}/restriction", **CHANGED)
async def restrict_processing(id: SubjectId, body: RestrictProcessing, command: Complying) -> Response:
    """Restrict the processing of the person's data (GDPR, article 18).

    From the answer on nothing personal is added to what is held about them, and nothing of it is shown,
    unless the request names a `Lethe-Ground`; lists withhold it.
    """
    outcome = await command.door.restrictions.impose(
        subject_id=id,
        context=command.context(body),
        expected_version=command.expected_version,
        **body.fields(),
    )
    return answer(outcome, 200, {})


@router.post("/v1/subjects/{id}/restriction/lift", **CHANGED)
async def lift_restriction(
    id: SubjectId,
    command: Complying,
    body: Annotated[LiftRestriction, Body(default_factory=LiftRestriction)],
) -> Response:
    """End the restriction. The person is told before (GDPR, article 18(3))."""
    outcome = await command.door.restrictions.lift(
        subject_id=id, context=command.context(body), expected_version=command.expected_version
    )
    return answer(outcome, 200, {})


@router.get("/v1/restrictions", responses=documented(*READ_REFUSALS))
async def list_restrictions(
    door: Door, token: Comply, query: Annotated[RestrictionQuery, Query()]
) -> Page[RestrictionRecord]:
    """Whose processing is restricted, or was, in order of id."""
    await wait_for(door, query)
    rows = await door.views.rights.list_restrictions(
        filter_of(query, RestrictionFilter), limit=query.limit, after=query.after()
    )
    items = [RestrictionRecord.model_validate(row) for row in rows]
    return Page(items=items, next=next_page(rows, query.limit))


class PlaceHold(CommandBody):
    """Keep what concerns a matter from being erased, by people."""

    matter: Line = Field(description="A code, without personal data.", examples=["2026-114"])
    description: FreeText | None = Field(
        None, description="Sealed under the hold's own key.", examples=["Claim of a former supplier."]
    )
    subject_ids: list[UUID] = Field(
        default=[], max_length=1_000, description="Whom it covers from the start.", examples=[[EXAMPLE_ID]]
    )


class CoverSubjects(CommandBody):
    """Cover these people by the hold too. Who is erased answers 410, and nobody is covered."""

    subject_ids: SubjectIds


class ReleaseSubjects(CommandBody):
    """Release these people from the hold, for good."""

    subject_ids: SubjectIds


class LiftHold(CommandBody):
    """The matter is over: everybody is released, and the erasures that waited for it are carried out."""


class HoldRecord(BaseModel):
    """A legal hold on a matter."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: int
    position: int
    matter: str
    description: str | None
    placed_at: Moment
    lifted_at: Moment | None
    covered: list[UUID] = Field(description="Whom it covers now.")
    released: list[UUID] = Field(description="Whom it covered before.")


class HoldQuery(ListQuery):
    standing: bool | None = Field(None, description="True: not lifted.")
    matter: Line | None = None
    covers: UUID | None = Field(None, description="A data subject whom it covers now.")


@router.post(HOLDS, status_code=201, **CREATING | {"responses": CREATED | documented(404)})
async def place_hold(body: PlaceHold, command: Complying) -> Response:
    """Place a legal hold on a matter: nothing of the people whom it covers is erased while it stands.

    Erasures that are asked for meanwhile wait, and retention passes them over. An unknown person answers 404,
    an erased one 410; then nothing is held.
    """
    return await command.create(command.door.holds.place, body, f"{HOLDS}/{{id}}", id=uuid7())


@router.get(HOLDS, responses=documented(*READ_REFUSALS))
async def list_holds(
    request: Request, door: Door, token: Comply, query: Annotated[HoldQuery, Query()]
) -> Page[HoldRecord]:
    """Legal holds, in order of id."""
    await wait_for(door, query)
    rows = await door.views.rights.list_holds(
        filter_of(query, HoldFilter), limit=query.limit, after=query.after()
    )
    return Page(items=await _shown(request, token, rows), next=next_page(rows, query.limit))


@router.get(f"{HOLDS}/{{id}}", responses=documented(404, *READ_REFUSALS))
async def read_hold(
    id: RecordId,
    request: Request,
    door: Door,
    token: Comply,
    query: Annotated[ReadQuery, Query()],
    response: Response,
) -> HoldRecord:
    """A legal hold: its matter, and whom it covers."""
    await wait_for(door, query)
    row = await door.views.rights.hold(id)
    if row is None:
        raise NotFound
    response.headers["ETag"] = f'"{row.version}"'
    return (await _shown(request, token, [row]))[0]


async def _shown(request: Request, token: Comply, rows: list[HoldRow]) -> list[HoldRecord]:
    shown = await show(reading_of(request, token), rows)
    return [HoldRecord.model_validate(row) for row in shown.rows]


add_verbs(
    router,
    HOLDS,
    (
        Verb("cover", CoverSubjects, lambda door: door.holds.cover),
        Verb("release", ReleaseSubjects, lambda door: door.holds.release),
        Verb("lift", LiftHold, lambda door: door.holds.lift),
    ),
    commanding=Complying,
)
