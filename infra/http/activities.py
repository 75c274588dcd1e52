"""The register of processing over HTTP: its activities (GDPR, article 30)."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from domain.values import LawfulBasis, ProcessingRole, SubjectKind
from infra.http.auth import Reader
from infra.http.commands import CREATED, CREATING, CommandBody, Complying, RecordId, Verb, add_verbs
from infra.http.consents import Purpose
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import ListQuery, Page, ReadQuery, filter_of, next_page, wait_for
from infra.http.values import Country, FreeText, Line, Moment
from projections.rights import ActivityFilter

router = APIRouter(tags=["register"])
ACTIVITIES: Final = "/v1/activities"
Lines = Annotated[tuple[Line, ...], Field(max_length=50)]


class ChangeActivity(CommandBody):
    """Say all that the register says of the activity from now on: what is left out is not said any more."""

    name: Line = Field(examples=["Newsletter"])
    description: FreeText = Field(examples=["Monthly news by e-mail."])
    lawful_basis: LawfulBasis = Field(description="GDPR, article 6(1).", examples=["consent"])
    consent_needed: bool = Field(
        description="Whether it may be done only with the person's consent.", examples=[True]
    )
    categories: tuple[Category, ...] = Field(
        min_length=1, max_length=20, description="The personal data it uses.", examples=[["contact"]]
    )
    subject_kinds: tuple[SubjectKind, ...] = Field(
        min_length=1, max_length=20, description="Whose data it uses.", examples=[["customers"]]
    )
    role: ProcessingRole = Field(
        ProcessingRole.CONTROLLER, description="Who we are in it.", examples=["controller"]
    )
    recipients: Lines = Field((), description="Who is given the data.", examples=[["mailing house"]])
    third_countries: tuple[Country, ...] = Field(
        (), max_length=250, description="Where data goes outside the EEA.", examples=[["US"]]
    )
    safeguards: FreeText | None = Field(
        None,
        description="Of those transfers: GDPR, articles 44 to 49.",
        examples=["Standard clauses of 2021"],
    )
    retention: FreeText | None = Field(None, examples=["Until withdrawn, then 3 years."])
    security: FreeText | None = Field(None, examples=["Sealed per person; access by role."])


class RegisterActivity(ChangeActivity):
    """Enter a purpose for which personal data is processed into the register, under a code for good."""

    code: Purpose


class RetireActivity(CommandBody):
    """Nothing is processed for this purpose any more: commands that name it are refused."""


class ActivityRecord(BaseModel):
    """An entry of the register of processing."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: int
    position: int
    code: str
    name: str
    description: str
    lawful_basis: LawfulBasis
    consent_needed: bool
    categories: list[Category]
    subject_kinds: list[SubjectKind]
    role: ProcessingRole
    recipients: list[str]
    third_countries: list[str]
    safeguards: str | None
    retention: str | None
    security: str | None
    registered_at: Moment
    changed_at: Moment
    retired_at: Moment | None


class ActivityQuery(ListQuery):
    code: Purpose | None = None
    living: bool | None = Field(None, description="True: not retired.")


@router.post(ACTIVITIES, status_code=201, **CREATING | {"responses": CREATED | documented(404)})
async def register_activity(body: RegisterActivity, command: Complying) -> Response:
    """Enter a purpose for which personal data is processed into the register, under a code for good.

    The code is what `Lethe-Purpose` names. A retired activity is registered again in the same way.
    """
    return await command.create(command.door.activities.register, body, f"{ACTIVITIES}/{{id}}")


@router.get(ACTIVITIES, responses=documented(*READ_REFUSALS))
async def list_activities(
    door: Door, token: Reader, query: Annotated[ActivityQuery, Query()]
) -> Page[ActivityRecord]:
    """The register's activities, in order of id."""
    await wait_for(door, query)
    rows = await door.views.rights.list_activities(
        filter_of(query, ActivityFilter), limit=query.limit, after=query.after()
    )
    items = [ActivityRecord.model_validate(row) for row in rows]
    return Page(items=items, next=next_page(rows, query.limit))


@router.get(f"{ACTIVITIES}/{{id}}", responses=documented(404, *READ_REFUSALS))
async def read_activity(
    id: RecordId, door: Door, token: Reader, query: Annotated[ReadQuery, Query()], response: Response
) -> ActivityRecord:
    """An entry of the register of processing."""
    await wait_for(door, query)
    row = await door.views.rights.activity(id)
    if row is None:
        raise NotFound
    response.headers["ETag"] = f'"{row.version}"'
    return ActivityRecord.model_validate(row)


add_verbs(
    router,
    ACTIVITIES,
    (
        Verb("change", ChangeActivity, lambda door: door.activities.change),
        Verb("retire", RetireActivity, lambda door: door.activities.retire),
    ),
    commanding=Complying,
)
