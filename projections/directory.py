"""The directory: who our customers, their contact persons and our members are; and whom we have erased."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from domain.customer.events import (
    ContactAdded,
    ContactChanged,
    ContactRemoved,
    CustomerAddressChanged,
    CustomerArchived,
    CustomerAssigned,
    CustomerEmailChanged,
    CustomerPhoneChanged,
    CustomerRegistered,
    CustomerReinstated,
    CustomerRenamed,
    CustomerSegmented,
    CustomerTagged,
)
from domain.erasure.events import (
    ErasureAcknowledged,
    ErasureHeld,
    ErasureRequested,
    ErasureSealed,
    SubjectErased,
)
from domain.member.events import MemberLeft, MemberMoved, MemberRegistered
from domain.model import Event
from domain.values import CustomerKind, ErasureGround, LawfulBasis
from projections.model import Headed, Heads, Personal, Recorded, Row, Rows, advance


@dataclass(slots=True, kw_only=True)
class ContactRow:
    """A contact person of an organisation. `id` is the person's own data subject."""

    id: UUID
    name: Personal = None
    role: Personal = None
    email: Personal = None
    phone: Personal = None


@dataclass(slots=True, kw_only=True)
class CustomerRow(Row):
    """A customer as things stand."""

    kind: CustomerKind
    source: str
    lawful_basis: LawfulBasis
    purpose: str
    registered_at: datetime
    changed_at: datetime
    organisation: str | None = None
    sector: str | None = None
    employees: int | None = None
    country: str | None = None
    parent: str | None = None
    lead_id: UUID | None = None
    owner_id: UUID | None = None
    segment: str | None = None
    tags: list[str] = field(default_factory=list)
    archived: bool = False
    name: Personal = None
    born_on: Personal = None
    email: Personal = None
    phone: Personal = None
    address: Personal = None
    contacts: list[ContactRow] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class MemberRow(Row):
    """A member of staff as things stand; `left_at` once they are gone."""

    registered_at: datetime
    team: str | None = None
    office: str | None = None
    manager_id: UUID | None = None
    left_at: datetime | None = None
    name: Personal = None
    email: Personal = None


@dataclass(slots=True, kw_only=True)
class ErasureRow(Row):
    """A request to erase `erased_subject_id`, or only some `categories` of theirs; done since `erased_at`.

    While it is `held` a legal hold stands against it. Since `sealed_at` no old copy of the keys opens.
    """

    erased_subject_id: UUID
    ground: ErasureGround
    requested_at: datetime
    categories: list[str] = field(default_factory=list)
    held: bool = False
    erased_at: datetime | None = None
    fingerprints: list[str] = field(default_factory=list)
    acknowledged_by: list[str] = field(default_factory=list)
    sealed_at: datetime | None = None
    sealed_epoch: int | None = None


DirectoryRow: TypeAlias = CustomerRow | MemberRow | ErasureRow


class ContactDetail(StrEnum):
    """What a person can be looked up by, exactly."""

    EMAIL = "email"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Found:
    """Where a looked-up value stands: whose it is, and in which customer's or member's record."""

    subject_id: UUID
    record_id: UUID


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers; None leaves the field open."""

    kind: CustomerKind | None = None
    owner_id: UUID | None = None
    country: str | None = None
    sector: str | None = None
    segment: str | None = None
    tag: str | None = None
    archived: bool | None = None


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members; None leaves the field open. `present`: has not left."""

    team: str | None = None
    office: str | None = None
    present: bool | None = None


class Directory(Protocol):
    """Reads the directory. Lists are in order of id, from the first id above `after`."""

    async def customer(self, id: UUID) -> CustomerRow | None: ...

    async def customers(self, ids: Sequence[UUID]) -> list[CustomerRow]:
        """Those that exist, in the order asked for."""
        ...

    async def list_customers(
        self, where: CustomerFilter, *, limit: int, after: UUID | None = None
    ) -> list[CustomerRow]: ...

    async def customers_of(self, subject_ids: Collection[UUID]) -> list[CustomerRow]:
        """The customers whose own data subject is one of these: in order of id."""
        ...

    async def customer_heads(self, where: CustomerFilter, *, limit: int, after: UUID | None = None) -> Heads:
        """Which those are, and at which versions they and their owners."""
        ...

    async def headed_customers(self, ids: Sequence[UUID]) -> list[Headed[CustomerRow]]:
        """Those that exist, in the order asked for."""
        ...

    async def member(self, id: UUID) -> MemberRow | None: ...

    async def members(self, ids: Sequence[UUID]) -> list[MemberRow]:
        """Those that exist, in the order asked for."""
        ...

    async def list_members(
        self, where: MemberFilter, *, limit: int, after: UUID | None = None
    ) -> list[MemberRow]: ...

    async def lookup(self, detail: ContactDetail, value: str) -> list[Found]:
        """Who has this very e-mail address or phone number: capitals and spacing aside, nothing less."""
        ...

    async def erasure(self, id: UUID) -> ErasureRow | None: ...

    async def erasures_of(self, subject_id: UUID) -> list[ErasureRow]:
        """Every request to erase this subject, oldest first."""
        ...

    async def erased(self, subject_ids: Collection[UUID]) -> AbstractSet[UUID]:
        """Those of the subjects who, as this view has seen, are wholly erased. The key ring knows earlier."""
        ...


def canonical(detail: ContactDetail, value: str) -> str:
    """The form in which two spellings of one e-mail address, or of one phone number, are equal."""
    match detail:
        case ContactDetail.EMAIL:
            return value.strip().casefold()
        case ContactDetail.PHONE:
            return "".join(it for it in value if it.isdigit() or it == "+")


def contact_details(row: DirectoryRow) -> Mapping[tuple[UUID, ContactDetail], Personal]:
    """What the row's people can be looked up by: whose, and which detail."""
    match row:
        case CustomerRow():
            people = [(row.subject_id, row.email, row.phone)]
            people += [(it.id, it.email, it.phone) for it in row.contacts]
        case MemberRow():
            people = [(row.subject_id, row.email, None)]
        case _:
            people = []
    found = {(id, ContactDetail.EMAIL): email for id, email, _ in people if email is not None}
    return found | {(id, ContactDetail.PHONE): phone for id, _, phone in people if phone is not None}


VERSION: Final = 1
"""Raised when the rows come to mean something else, or get other columns: then this view is built anew."""


def project(rows: Rows[DirectoryRow], recorded: Recorded) -> None:
    """Bring the record's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    match event:
        case CustomerRegistered():
            rows.setdefault(event.originator_id, _customer(event, recorded.position))
        case MemberRegistered():
            rows.setdefault(event.originator_id, _member(event, recorded.position))
        case ErasureRequested():
            rows.setdefault(event.originator_id, _erasure(event, recorded.position))
        case _:
            match advance(rows, recorded):
                case CustomerRow() as customer:
                    customer.changed_at = event.timestamp
                    _change_customer(customer, event)
                case MemberRow() as member:
                    _change_member(member, event)
                case ErasureRow() as erasure:
                    _change_erasure(erasure, event)


def _customer(event: CustomerRegistered, position: int) -> CustomerRow:
    return CustomerRow(
        id=event.originator_id,
        subject_id=event.subject_id,
        version=event.originator_version,
        position=position,
        kind=event.kind,
        source=event.source,
        lawful_basis=event.lawful_basis,
        purpose=event.purpose,
        registered_at=event.timestamp,
        changed_at=event.timestamp,
        organisation=event.organisation,
        sector=event.sector,
        employees=event.employees,
        country=event.country,
        parent=event.parent,
        lead_id=event.lead_id,
        name=event.name,
        born_on=event.born_on,
        email=event.email,
        phone=event.phone,
        address=event.address,
    )


def _member(event: MemberRegistered, position: int) -> MemberRow:
    return MemberRow(
        id=event.originator_id,
        subject_id=event.subject_id,
        version=event.originator_version,
        position=position,
        registered_at=event.timestamp,
        team=event.team,
        office=event.office,
        manager_id=event.manager_id,
        name=event.name,
        email=event.email,
    )


def _erasure(event: ErasureRequested, position: int) -> ErasureRow:
    return ErasureRow(
        id=event.originator_id,
        subject_id=event.record_subject,
        version=event.originator_version,
        position=position,
        erased_subject_id=event.erased_subject_id,
        ground=event.ground,
        requested_at=event.timestamp,
        categories=list(event.categories),
    )


def _change_erasure(row: ErasureRow, event: Event) -> None:
    match event:
        case ErasureHeld():
            row.held = True
        case SubjectErased():
            row.held = False
            row.erased_at = event.timestamp
            row.fingerprints = list(event.fingerprints)
        case ErasureAcknowledged():
            row.acknowledged_by = [*row.acknowledged_by, event.subscriber]
        case ErasureSealed():
            row.sealed_at, row.sealed_epoch = event.timestamp, event.epoch


def _change_customer(row: CustomerRow, event: Event) -> None:
    match event:
        case CustomerRenamed():
            row.name, row.organisation = event.name, event.organisation
        case CustomerEmailChanged():
            row.email = event.email
        case CustomerPhoneChanged():
            row.phone = event.phone
        case CustomerAddressChanged():
            row.address = event.address
        case ContactAdded() | ContactChanged():
            others = [contact for contact in row.contacts if contact.id != event.contact_id]
            row.contacts = [*others, _contact(event)]
        case ContactRemoved():
            row.contacts = [contact for contact in row.contacts if contact.id != event.contact_id]
        case CustomerAssigned():
            row.owner_id = event.owner_id
        case CustomerSegmented():
            row.segment = event.segment
        case CustomerTagged():
            row.tags = list(event.tags)
        case CustomerArchived():
            row.archived = True
        case CustomerReinstated():
            row.archived = False


def _contact(event: ContactAdded | ContactChanged) -> ContactRow:
    return ContactRow(
        id=event.contact_id, name=event.name, role=event.role, email=event.email, phone=event.phone
    )


def _change_member(row: MemberRow, event: Event) -> None:
    match event:
        case MemberMoved():
            row.team, row.office, row.manager_id = event.team, event.office, event.manager_id
        case MemberLeft():
            row.left_at = event.timestamp
