"""What may happen to a customer, and what not."""

from collections.abc import Collection
from typing import NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.customer.events import (
    ContactAdded,
    ContactChanged,
    ContactRemoved,
    CustomerAddressChanged,
    CustomerArchived,
    CustomerAssigned,
    CustomerEmailChanged,
    CustomerNoteWritten,
    CustomerPhoneChanged,
    CustomerRegistered,
    CustomerReinstated,
    CustomerRenamed,
    CustomerSegmented,
    CustomerTagged,
)
from domain.model import Aggregate, DomainError, Event
from domain.values import CountryCode, CustomerKind, EmailAddress, LawfulBasis, PhoneNumber


class PersonWithoutName(DomainError):
    """A person is held by name."""


class OrganisationWithoutName(DomainError):
    """An organisation is held by its name."""


class OrganisationHasNoPersonalData(DomainError):
    """What is personal belongs to the contacts of an organisation, not to the organisation."""


class PersonHasNoPublicData(DomainError):
    """Organisation, sector, size, country and parent are facts about organisations, never about a person."""


class PersonHasNoContacts(DomainError):
    """Only an organisation has contacts."""


class ContactWithoutName(DomainError):
    """A contact is held by name."""


class ContactAlreadyAdded(DomainError):
    """A contact is added once, and changed from then on."""


class ContactNotOfCustomer(DomainError):
    """Only a contact of this customer can be changed."""


class CustomerIsArchived(DomainError):
    """An archived customer is reinstated before it is changed."""


class Registration(TypedDict):
    """What a customer is registered with, named as in `CustomerRegistered`."""

    kind: CustomerKind
    source: str
    lawful_basis: LawfulBasis
    purpose: str
    organisation: NotRequired[str | None]
    sector: NotRequired[str | None]
    employees: NotRequired[int | None]
    country: NotRequired[CountryCode | None]
    parent: NotRequired[str | None]
    lead_id: NotRequired[UUID | None]
    name: NotRequired[str | None]
    born_on: NotRequired[str | None]
    email: NotRequired[EmailAddress | None]
    phone: NotRequired[PhoneNumber | None]
    address: NotRequired[str | None]


PERSONAL = ("name", "born_on", "email", "phone", "address")
OF_ORGANISATIONS = ("organisation", "sector", "employees", "country", "parent")


class Customer(Aggregate):
    """A person, or an organisation with its contacts, whom we do business with."""

    TOPIC = "customer"

    @classmethod
    def register(cls, *, id: UUID, subject_id: UUID, **facts: Unpack[Registration]) -> Self:
        given = {name for name, value in facts.items() if value is not None}
        if facts["kind"] is CustomerKind.ORGANISATION:
            _check_organisation(id, facts.get("organisation"), personal=not given.isdisjoint(PERSONAL))
        else:
            _check_person(id, facts.get("name"), public=not given.isdisjoint(OF_ORGANISATIONS))
        return cls._create(CustomerRegistered, id=id, subject_id=subject_id, **facts)

    def rename(self, *, name: str | None = None, organisation: str | None = None) -> None:
        self._check_in_work()
        if self.kind is CustomerKind.ORGANISATION:
            _check_organisation(self.id, organisation, personal=name is not None)
            if organisation == self.organisation:
                return
        else:
            _check_person(self.id, name, public=organisation is not None)
        self.trigger_event(CustomerRenamed, name=name, organisation=organisation)

    def change_email(self, *, email: EmailAddress | None) -> None:
        self._check_person_in_work()
        self.trigger_event(CustomerEmailChanged, email=email)

    def change_phone(self, *, phone: PhoneNumber | None) -> None:
        self._check_person_in_work()
        self.trigger_event(CustomerPhoneChanged, phone=phone)

    def change_address(self, *, address: str | None) -> None:
        self._check_person_in_work()
        self.trigger_event(CustomerAddressChanged, address=address)

    def add_contact(
        self,
        *,
        contact_id: UUID,
        name: str,
        role: str | None = None,
        email: EmailAddress | None = None,
        phone: PhoneNumber | None = None,
    ) -> None:
        self._check_in_work()
        if self.kind is not CustomerKind.ORGANISATION:
            raise PersonHasNoContacts(self.id)
        if contact_id in self.contacts:
            raise ContactAlreadyAdded(self.id)
        if not name.strip():
            raise ContactWithoutName(self.id)
        self.trigger_event(
            ContactAdded, contact_id=contact_id, name=name, role=role, email=email, phone=phone
        )

    def change_contact(
        self,
        *,
        contact_id: UUID,
        name: str,
        role: str | None = None,
        email: EmailAddress | None = None,
        phone: PhoneNumber | None = None,
    ) -> None:
        self._check_in_work()
        if contact_id not in self.contacts:
            raise ContactNotOfCustomer(self.id)
        if not name.strip():
            raise ContactWithoutName(self.id)
        self.trigger_event(
            ContactChanged, contact_id=contact_id, name=name, role=role, email=email, phone=phone
        )

    def remove_contact(self, *, contact_id: UUID) -> None:
        self._check_in_work()
        if contact_id in self.contacts:
            self.trigger_event(ContactRemoved, contact_id=contact_id)

    def assign(self, *, owner_id: UUID | None) -> None:
        self._check_in_work()
        if owner_id != self.owner_id:
            self.trigger_event(CustomerAssigned, owner_id=owner_id)

    def segment(self, *, segment: str | None) -> None:
        self._check_in_work()
        if segment != self.market_segment:
            self.trigger_event(CustomerSegmented, segment=segment)

    def tag(self, *, tags: Collection[str]) -> None:
        self._check_in_work()
        wanted = tuple(sorted(set(tags)))
        if wanted != self.tags:
            self.trigger_event(CustomerTagged, tags=wanted)

    def write_note(self, *, text: str) -> None:
        """Allowed on an archived customer too: what is learnt then must not be lost."""
        self.trigger_event(CustomerNoteWritten, text=text)

    def archive(self) -> None:
        if not self.archived:
            self.trigger_event(CustomerArchived)

    def reinstate(self) -> None:
        if self.archived:
            self.trigger_event(CustomerReinstated)

    def _check_in_work(self) -> None:
        if self.archived:
            raise CustomerIsArchived(self.id)

    def _check_person_in_work(self) -> None:
        self._check_in_work()
        if self.kind is not CustomerKind.PERSON:
            raise OrganisationHasNoPersonalData(self.id)

    def evolve(self, event: Event) -> None:
        match event:
            case CustomerRegistered():
                self.subject_id = event.subject_id
                self.kind = event.kind
                self.organisation = event.organisation
                self.contacts: frozenset[UUID] = frozenset()
                self.owner_id: UUID | None = None
                self.market_segment: str | None = None
                self.tags: tuple[str, ...] = ()
                self.archived = False
            case CustomerRenamed():
                self.organisation = event.organisation
            case ContactAdded():
                self.contacts |= {event.contact_id}
            case ContactRemoved():
                self.contacts -= {event.contact_id}
            case CustomerAssigned():
                self.owner_id = event.owner_id
            case CustomerSegmented():
                self.market_segment = event.segment
            case CustomerTagged():
                self.tags = event.tags
            case CustomerArchived():
                self.archived = True
            case CustomerReinstated():
                self.archived = False


def _check_person(id: UUID, name: str | None, *, public: bool) -> None:
    if public:
        raise PersonHasNoPublicData(id)
    if name is None or not name.strip():
        raise PersonWithoutName(id)


def _check_organisation(id: UUID, organisation: str | None, *, personal: bool) -> None:
    if personal:
        raise OrganisationHasNoPersonalData(id)
    if organisation is None or not organisation.strip():
        raise OrganisationWithoutName(id)
