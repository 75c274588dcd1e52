"""What may happen to a ticket, and what not."""

from typing import NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.model import Aggregate, DomainError, Event
from domain.ticket.events import (
    TicketAssigned,
    TicketClosed,
    TicketEscalated,
    TicketNoteWritten,
    TicketOpened,
    TicketPaused,
    TicketPrioritised,
    TicketProgressed,
    TicketReopened,
    TicketReplyReceived,
    TicketReplySent,
    TicketResolved,
    TicketResumed,
)
from domain.ticket.priority import priority_of
from domain.values import Channel, CountryCode, Level, SupportLine, TicketStatus


class TicketIsClosed(DomainError):
    """A closed ticket is reopened before work on it goes on."""


class TicketIsResolved(DomainError):
    """A resolved ticket is reopened before it waits or is resolved anew."""


class Opening(TypedDict):
    """What a ticket is opened with, named as in `TicketOpened`; the priority follows from the levels."""

    channel: Channel
    impact: Level
    urgency: Level
    customer_id: NotRequired[UUID | None]
    product: NotRequired[str | None]
    country: NotRequired[CountryCode | None]
    subject: NotRequired[str | None]
    description: NotRequired[str | None]


CUSTOMER = "customer"
"""The code of `waiting_for` whose wait a reply of the customer ends."""


class Ticket(Aggregate):
    """What a customer asked for, from the first word until nothing more will be done."""

    TOPIC = "ticket"

    @classmethod
    def open(cls, *, id: UUID, subject_id: UUID, **facts: Unpack[Opening]) -> Self:
        priority = priority_of(impact=facts["impact"], urgency=facts["urgency"])
        return cls._create(TicketOpened, id=id, subject_id=subject_id, priority=priority, **facts)

    def prioritise(self, *, impact: Level, urgency: Level) -> None:
        self._check_not_closed()
        if (impact, urgency) != self.levels:
            priority = priority_of(impact=impact, urgency=urgency)
            self.trigger_event(TicketPrioritised, impact=impact, urgency=urgency, priority=priority)

    def assign(self, *, team: str, agent_id: UUID | None = None) -> None:
        self._check_not_closed()
        if (team, agent_id) != (self.team, self.agent_id):
            self.trigger_event(TicketAssigned, team=team, agent_id=agent_id)

    def escalate(self, *, line: SupportLine, team: str | None = None) -> None:
        """To any other line, down again too; `team` where that line's team is known."""
        self._check_not_closed()
        if line is not self.line or team not in (None, self.team):
            self.trigger_event(TicketEscalated, line=line, team=team)

    def progress(self, *, activity: str) -> None:
        """Always recorded, after the close too: work that was done is a fact, not a wish."""
        self.trigger_event(TicketProgressed, activity=activity)

    def send_reply(self, *, channel: Channel, text: str) -> None:
        self._check_not_closed()
        self.trigger_event(TicketReplySent, channel=channel, text=text)

    def receive_reply(self, *, channel: Channel, text: str) -> None:
        """Never refused; ends a wait for the customer."""
        self.trigger_event(TicketReplyReceived, channel=channel, text=text)
        if self.status is TicketStatus.WAITING and self.waiting_for == CUSTOMER:
            self.trigger_event(TicketResumed)

    def write_note(self, *, text: str) -> None:
        self.trigger_event(TicketNoteWritten, text=text)

    def pause(self, *, waiting_for: str) -> None:
        self._check_in_work()
        if waiting_for != self.waiting_for:
            self.trigger_event(TicketPaused, waiting_for=waiting_for)

    def resume(self) -> None:
        self._check_in_work()
        if self.status is TicketStatus.WAITING:
            self.trigger_event(TicketResumed)

    def resolve(self, *, note: str | None = None) -> None:
        if self.status is TicketStatus.RESOLVED and note is None:
            return
        self._check_in_work()
        self.trigger_event(TicketResolved, note=note)

    def reopen(self) -> None:
        if self.status in (TicketStatus.RESOLVED, TicketStatus.CLOSED):
            self.trigger_event(TicketReopened)

    def close(self) -> None:
        """From any status: some requests go away by themselves."""
        if self.status is not TicketStatus.CLOSED:
            self.trigger_event(TicketClosed)

    def _check_not_closed(self) -> None:
        if self.status is TicketStatus.CLOSED:
            raise TicketIsClosed(self.id)

    def _check_in_work(self) -> None:
        self._check_not_closed()
        if self.status is TicketStatus.RESOLVED:
            raise TicketIsResolved(self.id)

    def evolve(self, event: Event) -> None:
        match event:
            case TicketOpened():
                self.subject_id = event.subject_id
                self.levels = (event.impact, event.urgency)
                self.status = TicketStatus.OPEN
                self.waiting_for: str | None = None
                self.team: str | None = None
                self.agent_id: UUID | None = None
                self.line = SupportLine.FIRST
            case TicketPrioritised():
                self.levels = (event.impact, event.urgency)
            case TicketAssigned():
                self.team, self.agent_id = event.team, event.agent_id
            case TicketEscalated(team=None):
                self.line = event.line
            case TicketEscalated():
                self.line, self.team, self.agent_id = event.line, event.team, None
            case TicketPaused():
                self.status, self.waiting_for = TicketStatus.WAITING, event.waiting_for
            case TicketResumed() | TicketReopened():
                self.status, self.waiting_for = TicketStatus.OPEN, None
            case TicketResolved():
                self.status, self.waiting_for = TicketStatus.RESOLVED, None
            case TicketClosed():
                self.status, self.waiting_for = TicketStatus.CLOSED, None
