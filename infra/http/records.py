"""The records as the API shows them."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from domain.values import (
    Channel,
    CustomerKind,
    ErasureGround,
    LawfulBasis,
    Level,
    LossReason,
    Money,
    Priority,
    Stage,
    SupportLine,
    TicketStatus,
)
from infra.http.clearing import Shown
from infra.http.values import Moment, MoneyOut
from projections.directory import CustomerRow, ErasureRow, MemberRow
from projections.pipeline import LeadRow
from projections.tickets import TicketRow


class Record(BaseModel):
    """What every record has. Personal fields are null where they are erased, or withheld."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    subject_id: UUID = Field(description="The data subject of the record.")
    version: int = Field(description='Send it back in If-Match, as `"3"`.', examples=[3])
    position: int = Field(description="Of the last event shown, in the log.", examples=[4711])
    erased: bool = Field(False, description="The person is erased: nothing personal is left.")
    restricted: bool = Field(
        False, description="The person's data is restricted: withheld from lists, shown alone on a ground."
    )


class ContactRecord(BaseModel):
    """A contact person of an organisation; the id is the person's data subject."""

    id: UUID
    erased: bool = False
    restricted: bool = False
    name: str | None = None
    role: str | None = None
    email: str | None = None
    phone: str | None = None


class CustomerRecord(Record):
    """A customer."""

    kind: CustomerKind
    source: str
    lawful_basis: LawfulBasis
    purpose: str
    registered_at: Moment
    changed_at: Moment
    organisation: str | None = None
    sector: str | None = None
    employees: int | None = None
    country: str | None = None
    parent: str | None = None
    lead_id: UUID | None = None
    owner_id: UUID | None = None
    owner_name: str | None = None
    segment: str | None = None
    tags: list[str] = []
    archived: bool = False
    name: str | None = None
    born_on: str | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None
    contacts: list[ContactRecord] = []

    @staticmethod
    def facts(row: CustomerRow, shown: Shown[CustomerRow]) -> dict[str, Any]:
        contacts = [_contact(contact, shown) for contact in row.contacts]
        return shown.fields_of(row) | {"contacts": contacts, "owner_name": _name(row.owner_id, shown.members)}


class LeadRecord(Record):
    """A lead. `value` is the last one known; of a won lead, what they bought for."""

    stage: Stage
    source: str
    captured_at: Moment
    changed_at: Moment
    campaign: str | None = None
    product: str | None = None
    organisation: str | None = None
    country: str | None = None
    customer_id: UUID | None = None
    owner_id: UUID | None = None
    owner_name: str | None = None
    value: MoneyOut | None = None
    currency: str | None = None
    expected_close_on: date | None = None
    engaged_at: Moment | None = None
    qualified_at: Moment | None = None
    proposed_at: Moment | None = None
    closed_at: Moment | None = None
    cause: LossReason | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    note: str | None = None

    @staticmethod
    def facts(row: LeadRow, shown: Shown[LeadRow]) -> dict[str, Any]:
        value = (
            None
            if row.value is None
            else Money.model_validate({"amount": row.value, "currency": row.currency})
        )
        return shown.fields_of(row) | {"value": value, "owner_name": _name(row.owner_id, shown.members)}


class TicketRecord(Record):
    """A ticket. The due times allow for the waits that are over."""

    channel: Channel
    impact: Level
    urgency: Level
    priority: Priority
    status: TicketStatus
    line: SupportLine
    opened_at: Moment
    changed_at: Moment
    customer_id: UUID | None = None
    product: str | None = None
    country: str | None = None
    team: str | None = None
    agent_id: UUID | None = None
    agent_name: str | None = None
    waiting_for: str | None = None
    first_response_at: Moment | None = None
    resolved_at: Moment | None = None
    closed_at: Moment | None = None
    first_response_due: Moment | None = None
    resolution_due: Moment | None = None
    breached: bool = Field(description="An answer or the resolution came late, or is late by now.")
    subject: str | None = None
    description: str | None = None

    @staticmethod
    def facts(row: TicketRow, shown: Shown[TicketRow], at: datetime) -> dict[str, Any]:
        agent_name = _name(row.agent_id, shown.members)
        return shown.fields_of(row) | {"breached": row.breached(at), "agent_name": agent_name}


class MemberRecord(Record):
    """A member of staff."""

    registered_at: Moment
    team: str | None = None
    office: str | None = None
    manager_id: UUID | None = None
    manager_name: str | None = None
    left_at: Moment | None = None
    name: str | None = None
    email: str | None = None

    @staticmethod
    def facts(row: MemberRow, shown: Shown[MemberRow]) -> dict[str, Any]:
        return shown.fields_of(row) | {"manager_name": _name(row.manager_id, shown.members)}


class ErasureRecord(BaseModel):
    """A request to erase a person, and whether it is done."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    subject_id: UUID = Field(description="The person to erase.")
    ground: ErasureGround
    categories: list[Category] = Field(description="What of theirs; empty: everything.", examples=[[]])
    requested_at: Moment
    held: bool = Field(description="A legal hold stands against it: it waits until the hold is lifted.")
    erased_at: Moment | None = Field(description="When the keys were destroyed; null: under way.")
    fingerprints: list[str] = Field(description="Of the destroyed keys.")
    acknowledged_by: list[str] = Field(description="Subscribers that have erased their own copies.")
    sealed_at: Moment | None = Field(
        description="Since when no old copy of the key store opens what was erased; null: not yet."
    )
    sealed_epoch: int | None = Field(description="The epoch of key-encryption keys that began then.")

    @classmethod
    def of(cls, row: ErasureRow) -> Self:
        return cls(
            id=row.id,
            subject_id=row.erased_subject_id,
            ground=row.ground,
            categories=[Category(it) for it in row.categories],
            requested_at=row.requested_at,
            held=row.held,
            erased_at=row.erased_at,
            fingerprints=row.fingerprints,
            acknowledged_by=row.acknowledged_by,
            sealed_at=row.sealed_at,
            sealed_epoch=row.sealed_epoch,
        )


def _contact(contact: Any, shown: Shown[Any]) -> dict[str, Any]:
    names = ("id", "name", "role", "email", "phone")
    return {name: getattr(contact, name) for name in names} | shown.marks_of(contact.id)


def _name(id: UUID | None, names: Mapping[UUID, str]) -> str | None:
    return None if id is None else names.get(id)


class SumsByCurrency(BaseModel):
    """Sums, exact, one a currency."""

    value: MoneyOut | None = Field(description="The sum, where all is in one currency; else null.")
    values: list[MoneyOut]


def sums(values: tuple[Money, ...]) -> dict[str, Any]:
    return {"value": values[0] if len(values) == 1 else None, "values": list(values)}
