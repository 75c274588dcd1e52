"""Tickets over HTTP."""

from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from domain.values import Channel, Priority, SupportLine, TicketStatus
from infra.http import bodies
from infra.http.commands import CREATING, Creating, RecordId, Verb, add_verbs
from infra.http.customers import subject_of_customer
from infra.http.dependencies import Dependencies
from infra.http.errors import READ_REFUSALS, RECORD_REFUSALS, documented
from infra.http.reading import (
    DECLARED,
    ListQuery,
    Page,
    RecordQuery,
    Seeing,
    as_it_was,
    etag,
    filter_of,
    next_page,
    wait_for,
)
from infra.http.records import TicketRecord
from infra.http.replaying import ACCEPTED, AxesQuery, RowsFound, TwoAxes, answer, two_axes
from infra.http.sending import Kind, send_row, send_rows
from infra.http.values import Line, Moment
from projections.tickets import TicketFilter, TicketRow, project
from projections.views import Views
from services.ports import RecordNotFound

TICKETS = "/v1/tickets"
router = APIRouter(tags=["tickets"])


OF_TICKETS = ("ticket",)


class TicketFields(AxesQuery):
    """What tickets can be filtered by."""

    team: Line | None = None
    agent_id: UUID | None = None
    status: TicketStatus | None = None
    priority: Priority | None = None
    line: SupportLine | None = None
    customer_id: UUID | None = None
    product: Line | None = None
    channel: Channel | None = None
    unresolved: bool | None = None
    unassigned: bool | None = None
    breached: bool | None = None

    def where(self) -> TicketFilter:
        return filter_of(self, TicketFilter)


class TicketQuery(TicketFields, ListQuery):
    """Tickets by field."""


@router.post(TICKETS, status_code=201, **CREATING)
async def open_ticket(body: bodies.OpenTicket, command: Creating) -> Response:
    """A customer asks for something, or reports a fault. The priority follows from impact and urgency."""
    subject_id = await subject_of_customer(command.door, body.customer_id)
    return await command.create(
        command.door.tickets.open, body, f"{TICKETS}/{{id}}", id=uuid7(), subject_id=subject_id
    )


def ticket_as_of(moment: datetime) -> Kind[TicketRow]:
    """What a ticket says of itself at a moment: whether it is late depends on that."""
    return Kind(
        "tickets",
        member=lambda row: row.agent_id,
        model=TicketRecord,
        facts=lambda row, shown: TicketRecord.facts(row, shown, moment),
    )


async def _list(views: Views, query: TicketQuery, now: datetime) -> RowsFound:
    rows = await views.tickets.list_tickets(query.where(), at=now, limit=query.limit, after=query.after())
    return RowsFound.page(rows, query.limit)


TICKET_LIST = two_axes(TwoAxes("tickets", OF_TICKETS, TicketQuery, _list, ticket_as_of, project))


@router.get(
    TICKETS,
    response_model=Page[TicketRecord],
    responses={**ACCEPTED, **documented(*READ_REFUSALS)},
    openapi_extra=DECLARED,
)
async def list_tickets(reading: Seeing, query: Annotated[TicketQuery, Query()]) -> Response:
    """Tickets in order of id, filtered by field."""
    if query.of_another_time:
        return cast("Response", await answer(reading, TICKET_LIST, query))
    await wait_for(reading.door, query)
    now = reading.door.clock.now()
    rows = await reading.door.views.tickets.list_tickets(
        query.where(), at=now, limit=query.limit, after=query.after()
    )
    return await send_rows(reading, ticket_as_of(now), rows, next_page(rows, query.limit))


@router.get(
    f"{TICKETS}/{{id}}",
    response_model=TicketRecord,
    responses=documented(*RECORD_REFUSALS),
    openapi_extra=DECLARED,
)
async def read_ticket(id: RecordId, reading: Seeing, query: Annotated[RecordQuery, Query()]) -> Response:
    """The ticket as things stand; or as they stood `as_of` a time, as far as was `known_at` a time."""
    await wait_for(reading.door, query)
    row = await _row(reading.door, id, query)
    moment = query.as_of or reading.door.clock.now()
    return await send_row(reading, ticket_as_of(moment), row, etag(row, query))


async def _row(door: Dependencies, id: UUID, query: RecordQuery) -> TicketRow:
    if query.as_of or query.known_at:
        return await as_it_was(door, project, id, query)
    row = await door.views.tickets.ticket(id)
    if row is None:
        raise RecordNotFound(id)
    return row


class QueueRecord(BaseModel):
    """What one team has to do; no team: nobody has it yet."""

    model_config = ConfigDict(from_attributes=True)

    team: str | None
    open: int
    waiting: int
    unassigned: int = Field(description="No member works on it.")
    breached: int = Field(description="Late by now.")
    oldest_opened_at: Moment


async def _queues(views: Views, query: TicketFields, now: datetime) -> Page[QueueRecord]:
    queues = await views.tickets.queues(query.where(), at=now)
    return Page(items=[QueueRecord.model_validate(queue) for queue in queues], next=None)


QUEUES = two_axes(TwoAxes("queues", OF_TICKETS, TicketFields, _queues))


@router.get(
    "/v1/queues",
    response_model=Page[QueueRecord],
    responses={**ACCEPTED, **documented(*READ_REFUSALS)},
)
async def list_queues(reading: Seeing, query: Annotated[TicketFields, Query()]) -> Any:
    """The unresolved tickets by team: how many, how many late, since when."""
    return await answer(reading, QUEUES, query)


VERBS = (
    Verb("prioritise", bodies.PrioritiseTicket, lambda door: door.tickets.prioritise),
    Verb("assign", bodies.AssignTicket, lambda door: door.tickets.assign),
    Verb("escalate", bodies.EscalateTicket, lambda door: door.tickets.escalate),
    Verb("progress", bodies.ProgressTicket, lambda door: door.tickets.progress),
    Verb("send-reply", bodies.SendReply, lambda door: door.tickets.send_reply),
    Verb("receive-reply", bodies.ReceiveReply, lambda door: door.tickets.receive_reply),
    Verb("write-note", bodies.WriteNote, lambda door: door.tickets.write_note),
    Verb("pause", bodies.PauseTicket, lambda door: door.tickets.pause),
    Verb("resume", bodies.ResumeTicket, lambda door: door.tickets.resume),
    Verb("resolve", bodies.ResolveTicket, lambda door: door.tickets.resolve),
    Verb("reopen", bodies.ReopenTicket, lambda door: door.tickets.reopen),
    Verb("close", bodies.CloseTicket, lambda door: door.tickets.close),
)
add_verbs(router, TICKETS, VERBS)
