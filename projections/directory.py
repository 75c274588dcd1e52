"""The directory: who our customers, their contact persons and our members are; and whom we have erased."""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias
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
from domain.erasure.events import ErasureRequested, SubjectErased
from domain.member.events import MemberLeft, MemberMoved, MemberRegistered
from domain.model import Event
from domain.values import CustomerKind, ErasureGround, LawfulBasis
from projections.model import Personal, Recorded, Row, Rows, advance, begin


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
    """A request to erase `erased_subject_id`; done since `erased_at`."""

    erased_subject_id: UUID
    ground: ErasureGround
    requested_at: datetime
    erased_at: datetime | None = None
    fingerprints: list[str] = field(default_factory=list)


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

    async def member(self, id: UUID) -> MemberRow | None: ...

    async def members(self, ids: Sequence[UUID]) -> list[MemberRow]:
        """Those that exist, in the order asked for."""
        ...

    async def list_members(
        self, where: MemberFilter, *, limit: int, after: UUID | None = None
    ) -> list[MemberRow]: ...

    async def lookup(self, detail: ContactDetail, digest: bytes) -> list[Found]:
        """Who has exactly this e-mail address or phone number, by its `projections.lookups` digest."""
        ...

    async def erasure(self, id: UUID) -> ErasureRow | None: ...

    async def erasures_of(self, subject_id: UUID) -> list[ErasureRow]:
        """Every request to erase this subject, oldest first."""
        ...

    async def erased(self, subject_ids: Collection[UUID]) -> AbstractSet[UUID]:
        """Those of the subjects whose erasure this view has seen. The key ring knows earlier."""
        ...


def project(rows: Rows[DirectoryRow], recorded: Recorded) -> None:
    """Bring the record's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    match event:
        case CustomerRegistered():
            begin(rows, recorded, CustomerRow, **_registered(event))
        case MemberRegistered():
            begin(rows, recorded, MemberRow, registered_at=event.timestamp, **_placed(event),
                  name=event.name, email=event.email)  # fmt: skip
        case ErasureRequested():
            begin(rows, recorded, ErasureRow, requested_at=event.timestamp, ground=event.ground,
                  erased_subject_id=event.erased_subject_id)  # fmt: skip
        case _:
            match advance(rows, recorded):
                case CustomerRow() as customer:
                    customer.changed_at = event.timestamp
                    _change_customer(customer, event)
                case MemberRow() as member:
                    _change_member(member, event)
                case ErasureRow() as erasure if isinstance(event, SubjectErased):
                    erasure.erased_at = event.timestamp
                    erasure.fingerprints = list(event.fingerprints)


def _registered(event: CustomerRegistered) -> dict[str, object]:
    return {
        "kind": event.kind,
        "source": event.source,
        "lawful_basis": event.lawful_basis,
        "purpose": event.purpose,
        "registered_at": event.timestamp,
        "changed_at": event.timestamp,
        "organisation": event.organisation,
        "sector": event.sector,
        "employees": event.employees,
        "country": event.country,
        "parent": event.parent,
        "lead_id": event.lead_id,
        "name": event.name,
        "born_on": event.born_on,
        "email": event.email,
        "phone": event.phone,
        "address": event.address,
    }


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


def _placed(event: MemberRegistered) -> dict[str, object]:
    return {"team": event.team, "office": event.office, "manager_id": event.manager_id}
