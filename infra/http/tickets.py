"""Tickets over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from domain.values import Channel, Priority, SupportLine, TicketStatus
from infra.http import bodies
from infra.http.auth import Reader
from infra.http.commands import CREATING, Creating, RecordId, Verb, add_verbs
from infra.http.customers import subject_of_customer
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, RECORD_REFUSALS, documented
from infra.http.reading import (
    DECLARED,
    ListQuery,
    Page,
    ReadQuery,
    RecordQuery,
    Seeing,
    as_it_was,
    etag,
    filter_of,
    next_page,
    show,
    show_one,
    wait_for,
)
from infra.http.records import TicketRecord
from infra.http.values import Line, Moment
from projections.tickets import TicketFilter, TicketRow, project
from services.ports import RecordNotFound

TICKETS = "/v1/tickets"
router = APIRouter(tags=["tickets"])


class TicketFields(ReadQuery):
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


@router.get(TICKETS, responses=documented(*READ_REFUSALS), openapi_extra=DECLARED)
async def list_tickets(reading: Seeing, query: Annotated[TicketQuery, Query()]) -> Page[TicketRecord]:
    """Tickets in order of id, filtered by field."""
    door = reading.door
    await wait_for(door, query)
    now = door.clock.now()
    rows = await door.views.tickets.list_tickets(
        query.where(), at=now, limit=query.limit, after=query.after()
    )
    shown = await show(reading, rows, members=[row.agent_id for row in rows])
    items = [TicketRecord.of(row, shown, now) for row in shown.rows]
    return Page(items=items, next=next_page(rows, query.limit))


@router.get(f"{TICKETS}/{{id}}", responses=documented(*RECORD_REFUSALS), openapi_extra=DECLARED)
async def read_ticket(
    id: RecordId, reading: Seeing, query: Annotated[RecordQuery, Query()], response: Response
) -> TicketRecord:
    """The ticket as things stand; or as they stood `as_of` a time, as far as was `known_at` a time."""
    door = reading.door
    await wait_for(door, query)
    row = await _row(door, id, query)
    shown = await show_one(reading, "tickets", row, members=[row.agent_id])
    response.headers.update(etag(row, query))
    return TicketRecord.of(shown.rows[0], shown, query.as_of or door.clock.now())


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


@router.get("/v1/queues", responses=documented(*READ_REFUSALS))
async def list_queues(
    door: Door, token: Reader, query: Annotated[TicketFields, Query()]
) -> Page[QueueRecord]:
    """The unresolved tickets by team: how many, how many late, since when."""
    await wait_for(door, query)
    queues = await door.views.tickets.queues(query.where(), at=door.clock.now())
    return Page(items=[QueueRecord.model_validate(queue) for queue in queues], next=None)


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
