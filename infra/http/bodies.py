"""The bodies of the commands: each has the fields of one service method, and its docstring describes it."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field

from domain.model import Category
from domain.values import Channel, CustomerKind, ErasureGround, LawfulBasis, Level, LossReason, SupportLine
from infra.http.commands import CommandBody
from infra.http.values import BornOn, Count, Country, Currency, Email, FreeText, Line, MoneyIn, Phone, Tags
from services.erasures import WhenHeld

EXAMPLE_ID = "0197a3c0-5b1e-7c44-9d53-2f6a8e1b7c90"
Source = Annotated[Line, Field(description="Where the data came from.", examples=["web form"])]
OwnerId = Annotated[
    UUID | None, Field(description="The member who looks after it; null: nobody.", examples=[None])
]
Value = Annotated[MoneyIn, Field(description="What it is worth.")]


class RegisterCustomer(CommandBody):
    """Hold a person, or an organisation, as a customer from now on.

    A person has a `name` and contact details, all personal. An organisation has an `organisation` name and
    facts, all public; its people are added as contacts.
    """

    kind: CustomerKind = Field(examples=["person"])
    source: Source
    lawful_basis: LawfulBasis = Field(
        description="Why the data may be held: GDPR, article 6(1).", examples=["contract"]
    )
    purpose: Line = Field(description="What the data is held for.", examples=["order fulfilment"])
    organisation: Line | None = Field(None, description="An organisation's name.", examples=[None])
    sector: Line | None = Field(None, examples=[None])
    employees: Count | None = Field(None, examples=[None])
    country: Country | None = Field(None, description="An organisation's country.", examples=[None])
    parent: Line | None = Field(None, description="The organisation it belongs to.", examples=[None])
    lead_id: UUID | None = Field(
        None, description="The lead this person was; the data subject stays.", examples=[None]
    )
    name: Line | None = Field(None, description="A person's name.", examples=["Maya Brandt"])
    born_on: BornOn | None = Field(None, examples=["1984-05-17"])
    email: Email | None = None
    phone: Phone | None = None
    address: FreeText | None = Field(None, examples=["Lindenallee 7\n20259 Hamburg"])


class RenameCustomer(CommandBody):
    """Change a person's `name`, or an organisation's `organisation` name."""

    name: Line | None = Field(None, examples=["Maya Vogel"])
    organisation: Line | None = Field(None, examples=[None])


class ChangeEmail(CommandBody):
    """Change the address mail is sent to; null: there is none any more."""

    email: Email | None


class ChangePhone(CommandBody):
    """Change the number to call; null: there is none any more."""

    phone: Phone | None


class ChangeAddress(CommandBody):
    """Change the postal address; null: there is none any more."""

    address: FreeText | None = Field(examples=["Kastanienweg 3\n04105 Leipzig"])


class AddContact(CommandBody):
    """Add a person to talk to at the organisation: a data subject of its own, whose id the answer names."""

    name: Line = Field(examples=["Jonas Okafor"])
    role: Line | None = Field(None, examples=["Head of purchasing"])
    email: Email | None = None
    phone: Phone | None = None


class ChangeContact(AddContact):
    """Say all that is known of a contact from now on: a field left out is not known any more."""

    contact_id: UUID = Field(examples=[EXAMPLE_ID])


class RemoveContact(CommandBody):
    """The person is no contact of this organisation any more. This erases nothing."""

    contact_id: UUID = Field(examples=[EXAMPLE_ID])


class AssignOwner(CommandBody):
    """Say which member looks after it; null: nobody does."""

    owner_id: OwnerId


class SegmentCustomer(CommandBody):
    """Say which market segment the customer belongs to; null: to none."""

    segment: Line | None = Field(examples=["mid-market"])


class TagCustomer(CommandBody):
    """Say all of the customer's tags."""

    tags: Tags = Field(examples=[["vip", "newsletter"]])


class WriteNote(CommandBody):
    """Write a note. It is personal data, and sealed."""

    text: FreeText = Field(examples=["Prefers to be called after five."])


class ArchiveCustomer(CommandBody):
    """Take the customer out of daily work."""


class ReinstateCustomer(CommandBody):
    """Bring the archived customer back into daily work."""


class CaptureLead(CommandBody):
    """Write down a possible sale. The person behind it is a data subject: of a known customer, the same."""

    source: Source
    campaign: Line | None = Field(None, examples=["spring fair"])
    product: Line | None = Field(None, examples=["GTX Pro"])
    currency: Currency | None = None
    expected_close_on: date | None = Field(None, examples=["2026-09-30"])
    organisation: Line | None = Field(None, examples=["Brandt Maschinenbau"])
    country: Country | None = None
    customer_id: UUID | None = Field(None, description="The customer, where known already.", examples=[None])
    owner_id: UUID | None = Field(None, description="The member who works the lead.", examples=[None])
    name: Line | None = Field(None, examples=["Maya Brandt"])
    email: Email | None = None
    phone: Phone | None = None
    note: FreeText | None = Field(None, examples=["Asked for a demonstration."])


class ContactLead(CommandBody):
    """We spoke with them: a new lead is engaged from now on."""

    channel: Channel | None = Field(None, examples=["phone"])
    note: FreeText | None = Field(None, examples=["Wants an offer by Friday."])


class QualifyLead(CommandBody):
    """There is a real need, worth this much."""

    value: Value
    expected_close_on: date | None = Field(None, examples=["2026-09-30"])


class ProposeLead(CommandBody):
    """We made an offer."""

    value: Value
    valid_until: date | None = Field(None, examples=["2026-10-15"])


class RevalueLead(CommandBody):
    """The sale is now thought to be worth this much."""

    value: Value


class LinkLead(CommandBody):
    """Say which customer the sale is for."""

    customer_id: UUID = Field(examples=[EXAMPLE_ID])


class WinLead(CommandBody):
    """They bought, for this much. A lead without a customer registers one, with the same data subject."""

    value: Value


class LoseLead(CommandBody):
    """They did not buy."""

    cause: LossReason = Field(examples=["price"])
    note: FreeText | None = Field(None, examples=["Went with their old supplier."])


class DisqualifyLead(CommandBody):
    """There is no sale to be made here."""

    note: FreeText | None = Field(None, examples=["A student, writing a paper."])


class ReopenLead(CommandBody):
    """Work a lost or disqualified lead again, from the engaged stage."""


class OpenTicket(CommandBody):
    """A customer asks for something, or reports a fault. The priority follows from impact and urgency."""

    channel: Channel = Field(examples=["email"])
    impact: Level = Field(description="How far the fault reaches.", examples=["medium"])
    urgency: Level = Field(description="How long it can wait.", examples=["high"])
    customer_id: UUID | None = Field(None, examples=[None])
    product: Line | None = Field(None, examples=["GTX Pro"])
    country: Country | None = None
    subject: FreeText | None = Field(None, examples=["Display stays dark"])
    description: FreeText | None = Field(None, examples=["Since this morning, after the update."])


class PrioritiseTicket(CommandBody):
    """Judge impact and urgency anew; the priority follows from them."""

    impact: Level = Field(examples=["high"])
    urgency: Level = Field(examples=["high"])


class AssignTicket(CommandBody):
    """Say which team has it, and which member works on it; no member: it waits in the team's queue."""

    team: Line = Field(examples=["Devices"])
    agent_id: UUID | None = Field(None, examples=[None])


class EscalateTicket(CommandBody):
    """Hand it to another line of support."""

    line: SupportLine = Field(examples=["second"])
    team: Line | None = Field(None, examples=["Firmware"])


class ProgressTicket(CommandBody):
    """Report work that changes nothing else, under a code."""

    activity: Line = Field(examples=["parts_ordered"])


class SendReply(CommandBody):
    """We answered. The first reply stops the first-response clock."""

    channel: Channel = Field(examples=["email"])
    text: FreeText = Field(examples=["Please hold the power key for ten seconds."])


class ReceiveReply(CommandBody):
    """The customer wrote again. A ticket that waits for them goes on."""

    channel: Channel = Field(examples=["email"])
    text: FreeText = Field(examples=["It did not help."])


class PauseTicket(CommandBody):
    """We wait for somebody else: the SLA clock stands."""

    waiting_for: Line = Field(description="A code.", examples=["customer"])


class ResumeTicket(CommandBody):
    """The wait is over: the SLA clock goes on."""


class ResolveTicket(CommandBody):
    """What was asked is done."""

    note: FreeText | None = Field(None, examples=["Replaced under warranty."])


class ReopenTicket(CommandBody):
    """It was not done after all."""


class CloseTicket(CommandBody):
    """Nothing more will be done."""


class RegisterMember(CommandBody):
    """Somebody works here: a data subject like any other. Every event names them by id only."""

    name: Line = Field(examples=["Amina Keller"])
    email: Email | None = None
    team: Line | None = Field(None, examples=["Devices"])
    office: Line | None = Field(None, examples=["Central"])
    manager_id: UUID | None = Field(None, examples=[None])


class MoveMember(CommandBody):
    """Say team, office and manager from now on: all three."""

    team: Line | None = Field(None, examples=["Firmware"])
    office: Line | None = Field(None, examples=["East"])
    manager_id: UUID | None = Field(None, examples=[None])


class MemberLeaves(CommandBody):
    """They do not work here any more."""


class EraseSubject(CommandBody):
    """Erase the person: their keys are destroyed, and with them every copy of what was sealed.

    With `categories` only what is sealed under those is erased, and the person's records live on.
    """

    ground: ErasureGround = Field(description="Why: GDPR, article 17(1).", examples=["consent_withdrawn"])
    categories: list[Category] = Field(
        default_factory=list, max_length=20, description="What to erase; empty: everything.", examples=[[]]
    )
    when_held: WhenHeld = Field(
        WhenHeld.REFUSE,
        description="Under a legal hold: refuse, or queue it until the hold is lifted.",
        examples=["refuse"],
    )


class AcknowledgeErasure(CommandBody):
    """Say, as a subscriber of the stream, that you have erased your own copies of the person's data."""

    subscriber: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="A system's name, never a person's; with a subscriber's own token its own, or absent.",
        examples=["newsletter"],
    )
