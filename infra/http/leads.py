"""Leads over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from uuid_utils.compat import uuid7

from domain.values import Stage
from infra.http import bodies
from infra.http.auth import Reader
from infra.http.commands import CREATING, Creating, RecordId, Verb, add_verbs
from infra.http.customers import subject_of_customer
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, RECORD_REFUSALS, documented
from infra.http.reading import (
    DECLARED,
    Page,
    Reading,
    ReadQuery,
    RecordQuery,
    SearchQuery,
    Seeing,
    as_it_was,
    etag,
    filter_of,
    next_page,
    show,
    show_one,
    wait_for,
)
from infra.http.records import LeadRecord, SumsByCurrency, sums
from infra.http.values import Country, Currency, Line, Moment
from projections.pipeline import LeadFilter, LeadRow, project
from services.ports import RecordNotFound

LEADS = "/v1/leads"
router = APIRouter(tags=["leads"])


class LeadFields(ReadQuery):
    """What leads can be filtered by. Periods run from the first moment inside to the first one outside."""

    stage: Stage | None = None
    owner_id: UUID | None = None
    product: Line | None = None
    campaign: Line | None = None
    source: Line | None = None
    country: Country | None = None
    customer_id: UUID | None = None
    currency: Currency | None = None
    region: Line | None = None
    captured_from: Moment | None = None
    captured_until: Moment | None = None
    closed_from: Moment | None = None
    closed_until: Moment | None = None

    def where(self) -> LeadFilter:
        return filter_of(self, LeadFilter)


class LeadQuery(LeadFields, SearchQuery):
    """Leads by field, or by name."""


@router.post(LEADS, status_code=201, **CREATING)
async def capture_lead(body: bodies.CaptureLead, command: Creating) -> Response:
    """Write down a possible sale."""
    subject_id = await subject_of_customer(command.door, body.customer_id)
    return await command.create(
        command.door.leads.capture, body, f"{LEADS}/{{id}}", id=uuid7(), subject_id=subject_id
    )


@router.get(LEADS, responses=documented(*READ_REFUSALS), openapi_extra=DECLARED)
async def list_leads(reading: Seeing, query: Annotated[LeadQuery, Query()]) -> Page[LeadRecord]:
    """Leads in order of id, filtered by field; or found by name, with `q`."""
    door = reading.door
    query.check_alone()
    await wait_for(door, query)
    if query.q is not None:
        ids = await door.names.search(query.q, kind="lead", limit=query.limit)
        return Page(items=await _shown(reading, await door.views.pipeline.leads(ids)), next=None)
    rows = await door.views.pipeline.list_leads(query.where(), limit=query.limit, after=query.after())
    return Page(items=await _shown(reading, rows), next=next_page(rows, query.limit))


async def _shown(reading: Reading, rows: list[LeadRow]) -> list[LeadRecord]:
    shown = await show(reading, rows, members=[row.owner_id for row in rows])
    return [LeadRecord.of(row, shown) for row in shown.rows]


@router.get(f"{LEADS}/{{id}}", responses=documented(*RECORD_REFUSALS), openapi_extra=DECLARED)
async def read_lead(
    id: RecordId, reading: Seeing, query: Annotated[RecordQuery, Query()], response: Response
) -> LeadRecord:
    """The lead as things stand; or as they stood `as_of` a time, as far as was `known_at` a time."""
    door = reading.door
    await wait_for(door, query)
    row = await _row(door, id, query)
    shown = await show_one(reading, "leads", row, members=[row.owner_id])
    response.headers.update(etag(row, query))
    return LeadRecord.of(shown.rows[0], shown)


async def _row(door: Dependencies, id: UUID, query: RecordQuery) -> LeadRow:
    if query.as_of or query.known_at:
        return await as_it_was(door, project, id, query)
    row = await door.views.pipeline.lead(id)
    if row is None:
        raise RecordNotFound(id)
    return row


class StageSums(SumsByCurrency):
    """What stands in one stage."""

    stage: Stage
    count: int


class PipelineSums(BaseModel):
    """What the pipeline holds. A lead whose value nobody knows counts, and adds to no sum."""

    stages: list[StageSums]
    count: int = Field(description="Of all stages together.")


@router.get("/v1/pipeline", tags=["pipeline"], responses=documented(*READ_REFUSALS))
async def read_pipeline(door: Door, token: Reader, query: Annotated[LeadFields, Query()]) -> PipelineSums:
    """What stands in each stage: how many leads, and their values, exact, of all or of those filtered."""
    await wait_for(door, query)
    totals = await door.views.pipeline.totals(query.where())
    stages = [
        StageSums.model_validate({"stage": it.stage, "count": it.count} | sums(it.values)) for it in totals
    ]
    return PipelineSums(stages=stages, count=sum(it.count for it in totals))


VERBS = (
    Verb("contact", bodies.ContactLead, lambda door: door.leads.contact),
    Verb("qualify", bodies.QualifyLead, lambda door: door.leads.qualify),
    Verb("propose", bodies.ProposeLead, lambda door: door.leads.propose),
    Verb("revalue", bodies.RevalueLead, lambda door: door.leads.revalue),
    Verb("assign", bodies.AssignOwner, lambda door: door.leads.assign),
    Verb("link", bodies.LinkLead, lambda door: door.leads.link),
    Verb("win", bodies.WinLead, lambda door: door.leads.win),
    Verb("lose", bodies.LoseLead, lambda door: door.leads.lose),
    Verb("disqualify", bodies.DisqualifyLead, lambda door: door.leads.disqualify),
    Verb("reopen", bodies.ReopenLead, lambda door: door.leads.reopen),
)
add_verbs(router, LEADS, VERBS)
