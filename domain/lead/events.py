"""What can happen to a lead, from capture until it is won or lost."""

from datetime import date
from typing import ClassVar
from uuid import UUID

from domain.model import Contact, Conversation, Created, DataSubject, Event, Identity, Public
from domain.values import (
    Channel,
    CountryCode,
    CurrencyCode,
    EmailAddress,
    LossReason,
    Money,
    PhoneNumber,
)


class LeadCaptured(Created):
    """A possible sale came to our notice; `customer_id` where the customer is known already."""

    TOPIC: ClassVar[str] = "lead.captured"
    subject_id: DataSubject
    source: Public[str]
    campaign: Public[str | None] = None
    product: Public[str | None] = None
    currency: Public[CurrencyCode | None] = None
    expected_close_on: Public[date | None] = None
    organisation: Public[str | None] = None
    country: Public[CountryCode | None] = None
    customer_id: Public[UUID | None] = None
    owner_id: Public[UUID | None] = None
    name: Identity[str] = None
    email: Contact[EmailAddress] = None
    phone: Contact[PhoneNumber] = None
    note: Conversation[str] = None


class LeadContacted(Event):
    """We spoke with them: the lead is engaged."""

    TOPIC: ClassVar[str] = "lead.contacted"
    subject_id: DataSubject
    channel: Public[Channel | None] = None
    note: Conversation[str] = None


class LeadQualified(Event):
    """There is a real need, worth this much."""

    TOPIC: ClassVar[str] = "lead.qualified"
    subject_id: DataSubject
    value: Public[Money]
    expected_close_on: Public[date | None] = None


class LeadProposed(Event):
    """We made an offer."""

    TOPIC: ClassVar[str] = "lead.proposed"
    subject_id: DataSubject
    value: Public[Money]
    valid_until: Public[date | None] = None


class LeadRevalued(Event):
    """The sale is now thought to be worth this much."""

    TOPIC: ClassVar[str] = "lead.revalued"
    subject_id: DataSubject
    value: Public[Money]


class LeadAssigned(Event):
    """The member who works the lead; None where nobody does."""

    TOPIC: ClassVar[str] = "lead.assigned"
    subject_id: DataSubject
    owner_id: Public[UUID | None]


class LeadLinked(Event):
    """The customer the sale is for."""

    TOPIC: ClassVar[str] = "lead.linked"
    subject_id: DataSubject
    customer_id: Public[UUID]


class LeadWon(Event):
    """They bought, for this much."""

    TOPIC: ClassVar[str] = "lead.won"
    subject_id: DataSubject
    value: Public[Money]


class LeadLost(Event):
    """They did not buy."""

    TOPIC: ClassVar[str] = "lead.lost"
    subject_id: DataSubject
    cause: Public[LossReason]
    note: Conversation[str] = None


class LeadDisqualified(Event):
    """There is no sale to be made here."""

    TOPIC: ClassVar[str] = "lead.disqualified"
    subject_id: DataSubject
    note: Conversation[str] = None


class LeadReopened(Event):
    """A lost or disqualified lead is worked again, from the engaged stage."""

    TOPIC: ClassVar[str] = "lead.reopened"
    subject_id: DataSubject
