"""Each service offers every command of its aggregate, under the same names, and passes it on."""

import inspect
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, get_type_hints
from uuid import UUID

import pytest

from domain.customer.aggregate import Customer
from domain.lead.aggregate import Lead
from domain.member.aggregate import Member
from domain.model import Aggregate, Event, Sealed
from domain.ticket.aggregate import Ticket
from domain.values import (
    Channel,
    CurrencyCode,
    CustomerKind,
    EmailAddress,
    LawfulBasis,
    Level,
    LossReason,
    Money,
    PhoneNumber,
    SupportLine,
)
from infra.eventstore.unsealer import BoxUnsealer
from services.application import Application
from services.customers import Customers
from services.leads import Leads
from services.members import Members
from services.tickets import Tickets
from tests.eventlogs import NAMESPACE, MemoryLog, SteppingClock, context, memory_log

ID, SUBJECT, ANN = UUID(int=1), UUID(int=2), UUID(int=3)
MONEY = Money(amount=Decimal(5), currency=CurrencyCode("EUR"))
ORGANISATION = {
    "kind": CustomerKind.ORGANISATION,
    "organisation": "Acme",
    "source": "fair",
    "lawful_basis": LawfulBasis.CONTRACT,
    "purpose": "orders",
}
PERSON = {**ORGANISATION, "kind": CustomerKind.PERSON, "organisation": None, "name": "Ada"}
CONTACT = {
    "contact_id": ANN,
    "name": "Ann",
    "role": "buyer",
    "email": EmailAddress("ann@example.com"),
    "phone": PhoneNumber("+442079460000"),
}
OPENING = {"channel": Channel.WEB, "impact": Level.LOW, "urgency": Level.LOW, "subject": "no light"}
CAPTURE = {"source": "web", "campaign": "spring", "name": "Ada"}
DAY = date(2026, 5, 1)
JOINING = {"name": "Ada", "team": "east"}

Step = tuple[str, dict[str, Any]]
SERVICES: list[tuple[type[Any], type[Aggregate], str]] = [
    (Customers, Customer, "register"),
    (Leads, Lead, "capture"),
    (Tickets, Ticket, "open"),
    (Members, Member, "register"),
]

# Each row: a way through the service; the last command is the one looked at.
WAYS: list[tuple[type[Any], list[Step]]] = [
    (Customers, [("register", PERSON)]),
    (Customers, [("register", PERSON), ("rename", {"name": "Bo", "organisation": None})]),
    (Customers, [("register", PERSON), ("change_email", {"email": CONTACT["email"]})]),
    (Customers, [("register", PERSON), ("change_phone", {"phone": CONTACT["phone"]})]),
    (Customers, [("register", PERSON), ("change_address", {"address": "1 Road"})]),
    (Customers, [("register", ORGANISATION), ("add_contact", CONTACT)]),
    (Customers, [("register", ORGANISATION), ("add_contact", CONTACT), ("change_contact", CONTACT)]),
    (
        Customers,
        [("register", ORGANISATION), ("add_contact", CONTACT), ("remove_contact", {"contact_id": ANN})],
    ),
    (Customers, [("register", PERSON), ("assign", {"owner_id": ANN})]),
    (Customers, [("register", PERSON), ("segment", {"segment": "smb"})]),
    (Customers, [("register", PERSON), ("tag", {"tags": ("a", "b")})]),
    (Customers, [("register", PERSON), ("write_note", {"text": "called"})]),
    (Customers, [("register", PERSON), ("archive", {})]),
    (Customers, [("register", PERSON), ("archive", {}), ("reinstate", {})]),
    (Leads, [("capture", CAPTURE)]),
    (Leads, [("capture", CAPTURE), ("contact", {"channel": Channel.PHONE, "note": "rang"})]),
    (Leads, [("capture", CAPTURE), ("qualify", {"value": MONEY, "expected_close_on": date(2026, 5, 1)})]),
    (
        Leads,
        [
            ("capture", CAPTURE),
            ("qualify", {"value": MONEY}),
            ("propose", {"value": MONEY, "valid_until": date(2026, 5, 1)}),
        ],
    ),
    (
        Leads,
        [
            ("capture", CAPTURE),
            ("qualify", {"value": MONEY}),
            ("revalue", {"value": Money(amount=Decimal(6), currency=CurrencyCode("EUR"))}),
        ],
    ),
    (Leads, [("capture", CAPTURE), ("assign", {"owner_id": ANN})]),
    (Leads, [("capture", CAPTURE), ("link", {"customer_id": ANN})]),
    (Leads, [("capture", CAPTURE), ("win", {"value": MONEY})]),
    (Leads, [("capture", CAPTURE), ("lose", {"cause": LossReason.PRICE, "note": "dear"})]),
    (Leads, [("capture", CAPTURE), ("disqualify", {"note": "a student"})]),
    (Leads, [("capture", CAPTURE), ("disqualify", {}), ("reopen", {})]),
    (Tickets, [("open", OPENING)]),
    (Tickets, [("open", OPENING), ("prioritise", {"impact": Level.HIGH, "urgency": Level.LOW})]),
    (Tickets, [("open", OPENING), ("assign", {"team": "net", "agent_id": ANN})]),
    (Tickets, [("open", OPENING), ("escalate", {"line": SupportLine.SECOND, "team": "net"})]),
    (Tickets, [("open", OPENING), ("progress", {"activity": "in_call"})]),
    (Tickets, [("open", OPENING), ("send_reply", {"channel": Channel.EMAIL, "text": "hi"})]),
    (Tickets, [("open", OPENING), ("receive_reply", {"channel": Channel.EMAIL, "text": "hi"})]),
    (Tickets, [("open", OPENING), ("write_note", {"text": "odd"})]),
    (Tickets, [("open", OPENING), ("pause", {"waiting_for": "parts"})]),
    (Tickets, [("open", OPENING), ("pause", {"waiting_for": "parts"}), ("resume", {})]),
    (Tickets, [("open", OPENING), ("resolve", {"note": "swapped"})]),
    (Tickets, [("open", OPENING), ("resolve", {}), ("reopen", {})]),
    (Tickets, [("open", OPENING), ("close", {})]),
    (Members, [("register", JOINING)]),
    (Members, [("register", JOINING), ("move", {"team": "west", "office": "Bath", "manager_id": ANN})]),
    (Members, [("register", JOINING), ("leave", {})]),
    (
        Members,
        [
            ("register", JOINING),
            ("train", {"course": "privacy", "version": "1", "on": DAY, "expires_on": date(2027, 5, 1)}),
        ],
    ),
    (Members, [("register", JOINING), ("acknowledge", {"policy": "devices", "version": "1", "on": DAY})]),
]


def verbs_of(service: type[Any]) -> dict[str, Callable[..., Any]]:
    return {
        name: it
        for name, it in vars(service).items()
        if inspect.iscoroutinefunction(it) and not name.startswith("_")
    }


@pytest.mark.parametrize(("service", "kind", "first"), SERVICES)
def test_a_service_offers_every_command_with_the_same_arguments(
    service: type[Any], kind: type[Aggregate], first: str
) -> None:
    commands = {
        name: {arg: it for arg, it in inspect.signature(method).parameters.items() if arg != "self"}
        for name, method in vars(kind).items()
        if inspect.isfunction(method) and not name.startswith("_") and name != "evolve"
    }
    offered = verbs_of(service)
    assert offered.keys() == commands.keys() | {first}
    for name, arguments in commands.items():
        own = dict(inspect.signature(offered[name]).parameters)
        own.pop("self")
        own.pop("to")
        assert own == arguments
    assert get_type_hints(offered[first])["facts"] == get_type_hints(getattr(kind, first))["facts"]


def test_there_is_a_way_to_every_command() -> None:
    shown = {(service, steps[-1][0]) for service, steps in WAYS}
    assert shown == {(service, verb) for service, _, _ in SERVICES for verb in verbs_of(service)}


@pytest.mark.parametrize(("service", "steps"), WAYS, ids=[f"{it.__name__}.{way[-1][0]}" for it, way in WAYS])
async def test_a_command_reaches_the_log_as_it_was_given(service: type[Any], steps: list[Step]) -> None:
    log = memory_log()
    at_work = service(Application(log.store, SteppingClock()))
    outcome = None
    for verb, arguments in steps:
        place = {"id": ID, "context": context()} | ({"subject_id": SUBJECT} if outcome is None else {})
        outcome = await getattr(at_work, verb)(**place, **arguments)
    assert outcome is not None
    assert (outcome.id, outcome.subject_id, outcome.version) == (ID, SUBJECT, len(steps))
    event = (await log.store.load(ID)).events[-1]
    assert await clear(log, event) == await clear(log, event) | steps[-1][1]


async def clear(log: MemoryLog, event: Event) -> dict[str, Any]:
    """What the event says, unsealed."""
    says = {name: getattr(event, name) for name in type(event).model_fields}
    sealed = {name: it for name, it in says.items() if isinstance(it, Sealed)}
    opened = await BoxUnsealer(log.ring, NAMESPACE).open(list(sealed.values()))
    return says | {name: opened[it] for name, it in sealed.items()}
