"""Leads over HTTP."""

from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from uuid_utils.compat import uuid7

from domain.values import Stage
from infra.http import bodies
from infra.http.asking import asked, parameters_of
from infra.http.commands import CREATING, Creating, RecordId, Verb, add_verbs
from infra.http.customers import subject_of_customer
from infra.http.declared import DECLARED_HEADERS
from infra.http.errors import READ_REFUSALS, RECORD_REFUSALS, documented
from infra.http.reading import (
    DECLARED,
    Page,
    RecordQuery,
    SearchQuery,
    Seeing,
    as_it_was,
    filter_of,
    wait_for,
)
from infra.http.records import LeadRecord, SumsByCurrency, sums
from infra.http.replaying import ACCEPTED, AxesQuery, RowsFound, TwoAxes, answer, two_axes
from infra.http.sending import KeptKind, send_found, send_one, send_page, send_row
from infra.http.values import Country, Currency, Line, Moment
from projections.pipeline import LeadFilter, LeadRow, project
from projections.views import Views

LEADS = "/v1/leads"
router = APIRouter(tags=["leads"])


OF_LEADS = ("lead", "member")


class LeadFields(AxesQuery):
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


LEAD: KeptKind[LeadRow] = KeptKind(
    "leads",
    rows=lambda door, ids: door.views.pipeline.headed_leads(ids),
    member=lambda row: row.owner_id,
    model=LeadRecord,
    facts=LeadRecord.facts,
)


async def _list(views: Views, query: LeadQuery, now: datetime) -> RowsFound:
    rows = await views.pipeline.list_leads(query.where(), limit=query.limit, after=query.after())
    return RowsFound.page(rows, query.limit)


LEAD_LIST = two_axes(TwoAxes("leads", OF_LEADS, LeadQuery, _list, lambda now: LEAD, project))


@router.get(
    LEADS,
    response_model=Page[LeadRecord],
    responses={**ACCEPTED, **documented(*READ_REFUSALS)},
    openapi_extra={"parameters": [*parameters_of(LeadQuery), *DECLARED_HEADERS]},
)
async def list_leads(reading: Seeing, query: Annotated[LeadQuery, asked(LeadQuery)]) -> Response:
    """Leads in order of id, filtered by field; or found by name, with `q`."""
    query.check_alone()
    if query.of_another_time:
        return cast("Response", await answer(reading, LEAD_LIST, query))
    await wait_for(reading.door, query)
    pipeline = reading.door.views.pipeline
    if query.q is not None:
        ids = await reading.door.names.search(query.q, kind="lead", limit=query.limit)
        return await send_found(reading, LEAD, ids)
    heads = await pipeline.lead_heads(query.where(), limit=query.limit, after=query.after())
    return await send_page(reading, LEAD, heads, query.limit)


@router.get(
    f"{LEADS}/{{id}}",
    response_model=LeadRecord,
    responses=documented(*RECORD_REFUSALS),
    openapi_extra=DECLARED,
)
async def read_lead(id: RecordId, reading: Seeing, query: Annotated[RecordQuery, Query()]) -> Response:
    """The lead as things stand; or as they stood `as_of` a time, as far as was `known_at` a time."""
    await wait_for(reading.door, query)
    if query.as_of is None and query.known_at is None:
        return await send_one(reading, LEAD, id)
    return await send_row(reading, LEAD, await as_it_was(reading.door, project, id, query), {})


class StageSums(SumsByCurrency):
    """What stands in one stage."""

    stage: Stage
    count: int


class PipelineSums(BaseModel):
    """What the pipeline holds. A lead whose value nobody knows counts, and adds to no sum."""

    stages: list[StageSums]
    count: int = Field(description="Of all stages together.")


async def _pipeline(views: Views, query: LeadFields, now: datetime) -> PipelineSums:
    totals = await views.pipeline.totals(query.where())
    stages = [
        StageSums.model_validate({"stage": it.stage, "count": it.count} | sums(it.values)) for it in totals
    ]
    return PipelineSums(stages=stages, count=sum(it.count for it in totals))


PIPELINE = two_axes(TwoAxes("pipeline", OF_LEADS, LeadFields, _pipeline))


@router.get(
    "/v1/pipeline",
    tags=["pipeline"],
    response_model=PipelineSums,
    responses={**ACCEPTED, **documented(*READ_REFUSALS)},
)
async def read_pipeline(reading: Seeing, query: Annotated[LeadFields, Query()]) -> Any:
    """What stands in each stage: how many leads, and their values, exact, of all or of those filtered."""
    return await answer(reading, PIPELINE, query)


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
