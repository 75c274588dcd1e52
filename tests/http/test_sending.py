"""A record is sent past its model: what is sent is what the model, and so the OpenAPI document, says."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.values import (
    Channel,
    CountryCode,
    CurrencyCode,
    CustomerKind,
    LawfulBasis,
    Level,
    LossReason,
    Priority,
    Stage,
    SupportLine,
    TicketStatus,
)
from infra.http.clearing import Shown
from infra.http.customers import CUSTOMER
from infra.http.leads import LEAD
from infra.http.members import MEMBER
from infra.http.sending import Kind
from infra.http.tickets import ticket_as_of
from projections.directory import ContactRow, CustomerRow, MemberRow
from projections.pipeline import LeadRow
from projections.tickets import Span, TicketRow
from services.ports import Standing

NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
ODD = datetime(2026, 3, 2, 12, 0, 0, 120, tzinfo=UTC)
AGENT = uuid4()


def base() -> dict[str, Any]:
    return {"id": uuid4(), "subject_id": uuid4(), "version": 3, "position": 4711}


def customers() -> list[CustomerRow]:
    least = CustomerRow(
        **base(),
        kind=CustomerKind.PERSON,
        source="fair",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="orders",
        registered_at=NOON,
        changed_at=ODD,
    )
    most = CustomerRow(
        **base(),
        kind=CustomerKind.ORGANISATION,
        source='Straße \u2028 \x7f "quoted" \\ 日本',
        lawful_basis=LawfulBasis.CONSENT,
        purpose="orders",
        registered_at=NOON,
        changed_at=ODD,
        organisation="Brandt",
        sector="retail",
        employees=12,
        country=CountryCode("DE"),
        parent="Holding",
        lead_id=uuid4(),
        owner_id=AGENT,
        segment="big",
        tags=["a", "b\n"],
        archived=True,
        name="Maya \U0001f642",
        born_on="1990-01-01",
        email="maya@example.com",
        phone="+442079460000",
        address="12 Long Lane",
        contacts=[
            ContactRow(id=uuid4(), name="Jo", role="CTO", email="jo@example.com"),
            ContactRow(id=uuid4()),
        ],
    )
    return [least, most]


def leads() -> list[LeadRow]:
    least = LeadRow(
        **base(), stage=Stage.NEW, furthest=Stage.NEW, source="fair", captured_at=NOON, changed_at=ODD
    )
    most = LeadRow(
        **base(),
        stage=Stage.LOST,
        furthest=Stage.PROPOSED,
        source="fair",
        captured_at=NOON,
        changed_at=ODD,
        campaign="spring",
        product="GTX",
        organisation="Brandt",
        country=CountryCode("DE"),
        customer_id=uuid4(),
        owner_id=AGENT,
        value=Decimal("1000000000000.350"),
        currency=CurrencyCode("EUR"),
        expected_close_on=date(2026, 4, 1),
        engaged_at=NOON,
        qualified_at=ODD,
        proposed_at=NOON,
        closed_at=ODD,
        cause=LossReason.PRICE,
        name="Maya",
        email="maya@example.com",
        phone="+442079460000",
        note="Call back",
    )
    return [least, most]


def tickets() -> list[TicketRow]:
    facts: dict[str, Any] = {
        "channel": Channel.EMAIL,
        "impact": Level.MEDIUM,
        "urgency": Level.HIGH,
        "priority": next(iter(Priority)),
        "opened_at": NOON,
        "changed_at": ODD,
        "status": TicketStatus.OPEN,
        "line": next(iter(SupportLine)),
    }
    most = TicketRow(
        **base(),
        **facts,
        customer_id=uuid4(),
        product="GTX",
        country=CountryCode("DE"),
        team="Devices",
        agent_id=AGENT,
        waiting_for="customer",
        first_response_at=ODD,
        resolved_at=NOON,
        closed_at=NOON,
        first_response_due=NOON,
        resolution_due=ODD,
        pauses=[Span(since=NOON, until=None)],
        unresolved=[Span(since=NOON, until=ODD)],
        subject="Dark display",
        description="It is dark.",
    )
    return [TicketRow(**base(), **facts), most]


def members() -> list[MemberRow]:
    most = MemberRow(
        **base(),
        registered_at=NOON,
        team="Devices",
        office="York",
        manager_id=AGENT,
        left_at=ODD,
        name="Amina",
        email="amina@example.com",
    )
    return [MemberRow(**base(), registered_at=NOON), most]


CASES = [
    (kind, row)
    for kind, rows in (
        (CUSTOMER, customers()),
        (LEAD, leads()),
        (ticket_as_of(NOON + timedelta(days=9)), tickets()),
        (MEMBER, members()),
    )
    for row in rows
]


@pytest.mark.parametrize(
    ("kind", "row"), CASES, ids=[f"{kind.name}-{it % 2}" for it, (kind, _) in enumerate(CASES)]
)
@pytest.mark.parametrize("marked", [False, True])
def test_what_is_sent_is_what_the_model_says(kind: Kind[Any], row: Any, marked: bool) -> None:
    standing = Standing(restricted=True)
    people: list[UUID] = [row.subject_id, *(it.id for it in getattr(row, "contacts", ()))]
    shown = Shown([row], dict.fromkeys(people, standing) if marked else {}, {AGENT: "Amina Keller"})
    assert json.loads(kind.json(row, shown)) == json.loads(kind.record(row, shown).model_dump_json())
    assert list(json.loads(kind.json(row, shown))) == list(kind.model.model_fields)
