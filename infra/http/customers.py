"""Customers over HTTP."""

from datetime import datetime
from typing import Annotated, Self, cast
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from uuid_utils.compat import uuid7

from domain.customer.events import CustomerRegistered
from domain.lead.events import LeadCaptured
from domain.values import CustomerKind
from infra.http import bodies
from infra.http.asking import asked, parameters_of
from infra.http.commands import (
    APPLIED_HEADERS,
    CHANGE_HEADERS,
    CREATING,
    Applied,
    Changing,
    Creating,
    RecordId,
    Verb,
    add_verbs,
)
from infra.http.declared import DECLARED_HEADERS
from infra.http.dependencies import Dependencies
from infra.http.errors import COMMAND_REFUSALS, READ_REFUSALS, RECORD_REFUSALS, Malformed, documented
from infra.http.reading import (
    DECLARED,
    Page,
    ReadQuery,
    RecordQuery,
    SearchQuery,
    Seeing,
    as_it_was,
    filter_of,
    wait_for,
)
from infra.http.records import CustomerRecord
from infra.http.replaying import ACCEPTED, AxesQuery, RowsFound, TwoAxes, answer, two_axes
from infra.http.sending import KeptKind, send_found, send_one, send_page, send_row
from infra.http.values import Country, Email, Line, Phone
from projections.directory import ContactDetail, CustomerFilter, CustomerRow, project
from projections.views import Views
from services.ports import RecordNotFound


class ContactAdded(Applied):
    """What adding a contact answers."""

    contact_id: UUID = Field(description="The new contact: the person's data subject.")


CUSTOMERS = "/v1/customers"
router = APIRouter(tags=["customers"])


class CustomerQuery(AxesQuery, SearchQuery):
    kind: CustomerKind | None = None
    owner_id: UUID | None = None
    country: Country | None = None
    sector: Line | None = None
    segment: Line | None = None
    tag: Line | None = None
    archived: bool | None = None

    def where(self) -> CustomerFilter:
        return filter_of(self, CustomerFilter)


@router.post(CUSTOMERS, status_code=201, **CREATING)
async def register_customer(body: bodies.RegisterCustomer, command: Creating) -> Response:
    """Hold a person, or an organisation, as a customer from now on."""
    subject_id = await _subject_of(command.door, body)
    return await command.create(
        command.door.customers.register, body, f"{CUSTOMERS}/{{id}}", id=uuid7(), subject_id=subject_id
    )


async def _subject_of(door: Dependencies, body: bodies.RegisterCustomer) -> UUID:
    if body.lead_id is None or body.kind is not CustomerKind.PERSON:
        return uuid7()
    history = await door.store.load(body.lead_id)
    if not history.events or not isinstance(history.events[0], LeadCaptured):
        raise Malformed("There is no such lead.", field="lead_id", rule="unknown_record")
    return history.events[0].subject_id


async def subject_of_customer(door: Dependencies, customer_id: UUID | None) -> UUID:
    """Whom a new lead or ticket of this customer is about: the customer, or somebody of an organisation.

    Raises `Malformed` where there is no such customer.
    """
    if customer_id is None:
        return uuid7()
    history = await door.store.load(customer_id)
    match history.events:
        case [CustomerRegistered(kind=CustomerKind.PERSON) as registered, *_]:
            return registered.subject_id
        case [CustomerRegistered(), *_]:
            return uuid7()
        case _:
            raise Malformed("There is no such customer.", field="customer_id", rule="unknown_record")


CUSTOMER: KeptKind[CustomerRow] = KeptKind(
    "customers",
    rows=lambda door, ids: door.views.directory.headed_customers(ids),
    member=lambda row: row.owner_id,
    model=CustomerRecord,
    facts=CustomerRecord.facts,
)


async def _list(views: Views, query: CustomerQuery, now: datetime) -> RowsFound:
    rows = await views.directory.list_customers(query.where(), limit=query.limit, after=query.after())
    return RowsFound.page(rows, query.limit)


CUSTOMER_LIST = two_axes(
    TwoAxes("customers", ("customer",), CustomerQuery, _list, lambda now: CUSTOMER, project)
)


@router.get(
    CUSTOMERS,
    response_model=Page[CustomerRecord],
    responses={**ACCEPTED, **documented(*READ_REFUSALS)},
    openapi_extra={"parameters": [*parameters_of(CustomerQuery), *DECLARED_HEADERS]},
)
async def list_customers(reading: Seeing, query: Annotated[CustomerQuery, asked(CustomerQuery)]) -> Response:
    """Customers in order of id, filtered by field; or found by name, with `q`."""
    query.check_alone()
    if query.of_another_time:
        return cast("Response", await answer(reading, CUSTOMER_LIST, query))
    await wait_for(reading.door, query)
    directory = reading.door.views.directory
    if query.q is not None:
        ids = await reading.door.names.search(query.q, kind="customer", limit=query.limit)
        return await send_found(reading, CUSTOMER, ids)
    heads = await directory.customer_heads(query.where(), limit=query.limit, after=query.after())
    return await send_page(reading, CUSTOMER, heads, query.limit)


class Lookup(BaseModel):
    """One exact e-mail address or phone number. In the body: URLs are logged, by others if not by us."""

    model_config = ConfigDict(extra="forbid")

    email: Email | None = None
    phone: Phone | None = Field(None, examples=[None])

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.email is None) == (self.phone is None):
            raise ValueError("give either email or phone")
        return self


@router.post(
    f"{CUSTOMERS}/lookup",
    response_model=Page[CustomerRecord],
    responses=documented(400, 413, 415, *READ_REFUSALS),
    openapi_extra=DECLARED,
)
async def look_up_customers(body: Lookup, reading: Seeing, query: Annotated[ReadQuery, Query()]) -> Response:
    """The customers with exactly this e-mail address or phone number, their own or a contact's."""
    await wait_for(reading.door, query)
    directory = reading.door.views.directory
    detail = ContactDetail.EMAIL if body.email is not None else ContactDetail.PHONE
    found = await directory.lookup(detail, body.email or body.phone or "")
    return await send_found(reading, CUSTOMER, [it.record_id for it in found])


@router.get(
    f"{CUSTOMERS}/{{id}}",
    response_model=CustomerRecord,
    responses=documented(*RECORD_REFUSALS),
    openapi_extra=DECLARED,
)
async def read_customer(id: RecordId, reading: Seeing, query: Annotated[RecordQuery, Query()]) -> Response:
    """The customer as things stand; or as they stood `as_of` a time, as far as was `known_at` a time."""
    await wait_for(reading.door, query)
    if query.as_of is None and query.known_at is None:
        return await send_one(reading, CUSTOMER, id)
    row = await as_it_was(reading.door, project, id, query)
    if not isinstance(row, CustomerRow):
        raise RecordNotFound(id)
    return await send_row(reading, CUSTOMER, row, {})


@router.post(
    f"{CUSTOMERS}/{{id}}/add-contact",
    response_model=ContactAdded,
    responses={200: APPLIED_HEADERS, **documented(*COMMAND_REFUSALS)},
    openapi_extra=CHANGE_HEADERS,
)
async def add_contact(id: RecordId, body: bodies.AddContact, command: Changing) -> Response:
    """Add a person to talk to at the organisation: a data subject of its own, `contact_id`."""
    contact_id = command.derived_id("contact")
    return await command.change(
        command.door.customers.add_contact,
        body,
        id,
        answered={"contact_id": contact_id},
        contact_id=contact_id,
    )


VERBS = (
    Verb("rename", bodies.RenameCustomer, lambda door: door.customers.rename),
    Verb("change-email", bodies.ChangeEmail, lambda door: door.customers.change_email),
    Verb("change-phone", bodies.ChangePhone, lambda door: door.customers.change_phone),
    Verb("change-address", bodies.ChangeAddress, lambda door: door.customers.change_address),
    Verb("change-contact", bodies.ChangeContact, lambda door: door.customers.change_contact),
    Verb("remove-contact", bodies.RemoveContact, lambda door: door.customers.remove_contact),
    Verb("assign", bodies.AssignOwner, lambda door: door.customers.assign),
    Verb("segment", bodies.SegmentCustomer, lambda door: door.customers.segment),
    Verb("tag", bodies.TagCustomer, lambda door: door.customers.tag),
    Verb("write-note", bodies.WriteNote, lambda door: door.customers.write_note),
    Verb("archive", bodies.ArchiveCustomer, lambda door: door.customers.archive),
    Verb("reinstate", bodies.ReinstateCustomer, lambda door: door.customers.reinstate),
)
add_verbs(router, CUSTOMERS, VERBS)
