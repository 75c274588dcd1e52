"""The tickets: queues by team, who works on what, how old it is, and what is due when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from domain.model import Event
from domain.ticket.events import (
    TicketAssigned,
    TicketClosed,
    TicketEscalated,
    TicketOpened,
    TicketPaused,
    TicketPrioritised,
    TicketReopened,
    TicketReplySent,
    TicketResolved,
    TicketResumed,
)
from domain.ticket.sla import STANDARD, deadlines, is_breached
from domain.values import Channel, Level, Priority, SupportLine, TicketStatus
from projections.model import Personal, Recorded, Row, Rows, advance


@dataclass(slots=True, kw_only=True)
class Span:
    """A stretch of time; no `until`: it goes on."""

    since: datetime
    until: datetime | None = None


@dataclass(slots=True, kw_only=True)
class TicketRow(Row):
    """A ticket as things stand.

    `pauses`: when the SLA clock stood: the ticket waited, or was thought to be resolved. `unresolved`: when
    it was open or waiting. While it waits, what is not overdue has no due time. Closing resolves, too.
    """

    channel: Channel
    impact: Level
    urgency: Level
    priority: Priority
    opened_at: datetime
    changed_at: datetime
    status: TicketStatus = TicketStatus.OPEN
    line: SupportLine = SupportLine.FIRST
    customer_id: UUID | None = None
    product: str | None = None
    country: str | None = None
    team: str | None = None
    agent_id: UUID | None = None
    waiting_for: str | None = None
    first_response_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    first_response_due: datetime | None = None
    resolution_due: datetime | None = None
    pauses: list[Span] = field(default_factory=list)
    unresolved: list[Span] = field(default_factory=list)
    subject: Personal = None
    description: Personal = None

    def breached(self, at: datetime) -> bool:
        """Whether answer or resolution came, or is still missing `at` this moment, after it was due."""
        answered_at = self.first_response_at or self.resolved_at
        return is_breached(self.first_response_due, done_at=answered_at, now=at) or is_breached(
            self.resolution_due, done_at=self.resolved_at, now=at
        )


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets; None leaves the field open. `unresolved`: is open or waiting. `unassigned`: no agent."""

    team: str | None = None
    agent_id: UUID | None = None
    status: TicketStatus | None = None
    priority: Priority | None = None
    line: SupportLine | None = None
    customer_id: UUID | None = None
    product: str | None = None
    channel: Channel | None = None
    unresolved: bool | None = None
    unassigned: bool | None = None
    breached: bool | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """What one team has to do; no team: nobody has it yet."""

    team: str | None
    open: int
    waiting: int
    unassigned: int
    breached: int
    oldest_opened_at: datetime


class Tickets(Protocol):
    """Reads the tickets. Lists are in order of id, from the first above `after`; breaches are as of `at`."""

    async def ticket(self, id: UUID) -> TicketRow | None: ...

    async def tickets(self, ids: Sequence[UUID]) -> list[TicketRow]:
        """Those that exist, in the order asked for."""
        ...

    async def list_tickets(
        self, where: TicketFilter, *, at: datetime, limit: int, after: UUID | None = None
    ) -> list[TicketRow]: ...

    async def queues(self, where: TicketFilter, *, at: datetime) -> list[Queue]:
        """The unresolved tickets by team, in order of team; those that no team has come last."""
        ...


VERSION: Final = 1
"""Raised when the rows come to mean something else, or get other columns: then this view is built anew."""


def project(rows: Rows[TicketRow], recorded: Recorded) -> None:
    """Bring the ticket's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    if isinstance(event, TicketOpened):
        if event.originator_id not in rows:
            rows[event.originator_id] = _ticket(event, recorded.position)
    elif (row := advance(rows, recorded)) is not None:
        row.changed_at = event.timestamp
        _change(row, event)


def _ticket(event: TicketOpened, position: int) -> TicketRow:
    row = TicketRow(
        id=event.originator_id,
        subject_id=event.subject_id,
        version=event.originator_version,
        position=position,
        channel=event.channel,
        impact=event.impact,
        urgency=event.urgency,
        priority=event.priority,
        opened_at=event.timestamp,
        changed_at=event.timestamp,
        customer_id=event.customer_id,
        product=event.product,
        country=event.country,
        unresolved=[Span(since=event.timestamp)],
        subject=event.subject,
        description=event.description,
    )
    _set_due(row)
    return row


def _change(row: TicketRow, event: Event) -> None:
    match event:
        case TicketPrioritised():
            row.impact, row.urgency, row.priority = event.impact, event.urgency, event.priority
            _set_due(row)
        case TicketAssigned():
            row.team, row.agent_id = event.team, event.agent_id
        case TicketEscalated(team=None):
            row.line = event.line
        case TicketEscalated():
            row.line, row.team, row.agent_id = event.line, event.team, None
        case TicketReplySent():
            row.first_response_at = row.first_response_at or event.timestamp
        case TicketPaused() | TicketResumed() | TicketResolved() | TicketReopened() | TicketClosed():
            _turn(row, event)


def _turn(row: TicketRow, event: Event) -> None:
    """The status changes, and with it the clocks; when it is due, where a pause begins or ends."""
    moment, paused = event.timestamp, row.status is TicketStatus.WAITING
    if paused:
        row.waiting_for = None
        _end(row.pauses, moment)
    match event:
        case TicketPaused():
            row.status, row.waiting_for = TicketStatus.WAITING, event.waiting_for
            row.pauses = [*row.pauses, Span(since=moment)]
        case TicketResumed():
            row.status = TicketStatus.OPEN
        case TicketResolved():
            row.status, row.resolved_at = TicketStatus.RESOLVED, moment
            _end(row.unresolved, moment)
        case TicketReopened():
            if row.resolved_at is not None:
                row.pauses = [*row.pauses, Span(since=row.resolved_at, until=max(moment, row.resolved_at))]
            row.status, row.resolved_at, row.closed_at = TicketStatus.OPEN, None, None
            row.unresolved = [*row.unresolved, Span(since=moment)]
        case TicketClosed():
            row.status, row.closed_at = TicketStatus.CLOSED, moment
            row.resolved_at = row.resolved_at or moment
            _end(row.unresolved, moment)
    if paused or isinstance(event, TicketPaused | TicketReopened):
        _set_due(row)


def _set_due(row: TicketRow) -> None:
    due = deadlines(
        STANDARD,
        priority=row.priority,
        opened_at=row.opened_at,
        pauses=[(pause.since, pause.until) for pause in row.pauses],
    )
    row.first_response_due, row.resolution_due = due.first_response, due.resolution


def _end(spans: list[Span], moment: datetime) -> None:
    """The last stretch is over; one that backdated events turn round is empty, never negative."""
    if spans and spans[-1].until is None:
        spans[-1] = Span(since=spans[-1].since, until=max(moment, spans[-1].since))
