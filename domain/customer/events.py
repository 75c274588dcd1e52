"""What can happen to a customer."""

from typing import Annotated, ClassVar
from uuid import UUID

from domain.model import (
    Category,
    Contact,
    Conversation,
    Created,
    DataSubject,
    Erased,
    Event,
    Identity,
    PersonalData,
    Public,
    Sealed,
)
from domain.values import CountryCode, CustomerKind, EmailAddress, LawfulBasis, PhoneNumber

ContactIdentity = Annotated[str | Sealed | Erased | None, PersonalData(Category.IDENTITY, "contact_id")]
ContactEmail = Annotated[EmailAddress | Sealed | Erased | None, PersonalData(Category.CONTACT, "contact_id")]
ContactPhone = Annotated[PhoneNumber | Sealed | Erased | None, PersonalData(Category.CONTACT, "contact_id")]


class CustomerRegistered(Created):
    """We hold this customer from now on, from this source, on this basis, for this purpose.

    A person has a `name` (personal); an organisation has an `organisation` name and facts (public).
    """

    TOPIC: ClassVar[str] = "customer.registered"
    subject_id: DataSubject
    kind: Public[CustomerKind]
    source: Public[str]
    lawful_basis: Public[LawfulBasis]
    purpose: Public[str]
    organisation: Public[str | None] = None
    sector: Public[str | None] = None
    employees: Public[int | None] = None
    country: Public[CountryCode | None] = None
    parent: Public[str | None] = None
    lead_id: Public[UUID | None] = None
    name: Identity[str] = None
    born_on: Identity[str] = None
    email: Contact[EmailAddress] = None
    phone: Contact[PhoneNumber] = None
    address: Contact[str] = None


class CustomerRenamed(Event):
    """A person's new `name`, or an organisation's new `organisation` name."""

    TOPIC: ClassVar[str] = "customer.renamed"
    subject_id: DataSubject
    organisation: Public[str | None] = None
    name: Identity[str] = None


class CustomerEmailChanged(Event):
    """The address mail is sent to; None where there is none any more."""

    TOPIC: ClassVar[str] = "customer.email_changed"
    subject_id: DataSubject
    email: Contact[EmailAddress] = None


class CustomerPhoneChanged(Event):
    """The number to call; None where there is none any more."""

    TOPIC: ClassVar[str] = "customer.phone_changed"
    subject_id: DataSubject
    phone: Contact[PhoneNumber] = None


class CustomerAddressChanged(Event):
    """The postal address, its lines separated by newlines; None where there is none any more."""

    TOPIC: ClassVar[str] = "customer.address_changed"
    subject_id: DataSubject
    address: Contact[str] = None


class ContactAdded(Event):
    """A person to talk to at an organisation: a data subject of its own."""

    TOPIC: ClassVar[str] = "customer.contact_added"
    subject_id: DataSubject
    contact_id: DataSubject
    name: ContactIdentity
    role: ContactIdentity = None
    email: ContactEmail = None
    phone: ContactPhone = None


class ContactChanged(Event):
    """What is known of the contact from now on: all fields, not only the new ones."""

    TOPIC: ClassVar[str] = "customer.contact_changed"
    subject_id: DataSubject
    contact_id: DataSubject
    name: ContactIdentity
    role: ContactIdentity = None
    email: ContactEmail = None
    phone: ContactPhone = None


class ContactRemoved(Event):
    """The person is no contact of this organisation any more (which erases nothing)."""

    TOPIC: ClassVar[str] = "customer.contact_removed"
    subject_id: DataSubject
    contact_id: DataSubject


class CustomerAssigned(Event):
    """The member who looks after the customer; None where nobody does."""

    TOPIC: ClassVar[str] = "customer.assigned"
    subject_id: DataSubject
    owner_id: Public[UUID | None]


class CustomerSegmented(Event):
    """The market segment the customer belongs to; None where it belongs to none."""

    TOPIC: ClassVar[str] = "customer.segmented"
    subject_id: DataSubject
    segment: Public[str | None]


class CustomerTagged(Event):
    """The customer's tags from now on: all of them, sorted."""

    TOPIC: ClassVar[str] = "customer.tagged"
    subject_id: DataSubject
    tags: Public[tuple[str, ...]]


class CustomerNoteWritten(Event):
    """A note about the customer."""

    TOPIC: ClassVar[str] = "customer.note_written"
    subject_id: DataSubject
    text: Conversation[str]


class CustomerArchived(Event):
    """The customer is out of daily work."""

    TOPIC: ClassVar[str] = "customer.archived"
    subject_id: DataSubject


class CustomerReinstated(Event):
    """The archived customer is back in daily work."""

    TOPIC: ClassVar[str] = "customer.reinstated"
    subject_id: DataSubject
