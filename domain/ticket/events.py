"""What can happen to a ticket."""

from typing import ClassVar
from uuid import UUID

from domain.model import Conversation, Created, DataSubject, Event, Public
from domain.values import Channel, CountryCode, Level, Priority, SupportLine


class TicketOpened(Created):
    """A customer asks for something, or reports a fault.

    `subject_id` is the person who asked where known (the customer's subject), else the ticket's own.
    """

    TOPIC: ClassVar[str] = "ticket.opened"
    subject_id: DataSubject
    customer_id: Public[UUID | None] = None
    channel: Public[Channel]
    product: Public[str | None] = None
    country: Public[CountryCode | None] = None
    impact: Public[Level]
    urgency: Public[Level]
    priority: Public[Priority]
    subject: Conversation[str] = None
    description: Conversation[str] = None


class TicketPrioritised(Event):
    """Impact and urgency were judged anew; the priority follows from them."""

    TOPIC: ClassVar[str] = "ticket.prioritised"
    subject_id: DataSubject
    impact: Public[Level]
    urgency: Public[Level]
    priority: Public[Priority]


class TicketAssigned(Event):
    """The team that has it, and the member who works on it; no member: it waits in the team's queue."""

    TOPIC: ClassVar[str] = "ticket.assigned"
    subject_id: DataSubject
    team: Public[str]
    agent_id: Public[UUID | None] = None


class TicketEscalated(Event):
    """Another line of support takes over."""

    TOPIC: ClassVar[str] = "ticket.escalated"
    subject_id: DataSubject
    line: Public[SupportLine]
    team: Public[str | None] = None


class TicketProgressed(Event):
    """Somebody reported work on it that changes nothing else, under this activity's code."""

    TOPIC: ClassVar[str] = "ticket.progressed"
    subject_id: DataSubject
    activity: Public[str]


class TicketReplySent(Event):
    """We answered; the first one stops the first-response clock."""

    TOPIC: ClassVar[str] = "ticket.reply_sent"
    subject_id: DataSubject
    channel: Public[Channel]
    text: Conversation[str]


class TicketReplyReceived(Event):
    """The customer wrote again."""

    TOPIC: ClassVar[str] = "ticket.reply_received"
    subject_id: DataSubject
    channel: Public[Channel]
    text: Conversation[str]


class TicketNoteWritten(Event):
    """A note that the customer does not see."""

    TOPIC: ClassVar[str] = "ticket.note_written"
    subject_id: DataSubject
    text: Conversation[str]


class TicketPaused(Event):
    """We wait for somebody else (`waiting_for`, a code such as `customer`): the SLA clock stands."""

    TOPIC: ClassVar[str] = "ticket.paused"
    subject_id: DataSubject
    waiting_for: Public[str]


class TicketResumed(Event):
    """The wait is over: the SLA clock goes on."""

    TOPIC: ClassVar[str] = "ticket.resumed"
    subject_id: DataSubject


class TicketResolved(Event):
    """What was asked is done."""

    TOPIC: ClassVar[str] = "ticket.resolved"
    subject_id: DataSubject
    note: Conversation[str] = None


class TicketReopened(Event):
    """It was not done after all."""

    TOPIC: ClassVar[str] = "ticket.reopened"
    subject_id: DataSubject


class TicketClosed(Event):
    """Nothing more will be done."""

    TOPIC: ClassVar[str] = "ticket.closed"
    subject_id: DataSubject
