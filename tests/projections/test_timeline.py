"""Histories, of a record and of a person."""

from decimal import Decimal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.model import Category, Erased
from domain.values import CurrencyCode, CustomerKind, LawfulBasis, Money
from infra.history.segments import Snapshots
from infra.memory.segments import MemorySegments
from infra.postgres.views.tables import TABLES
from infra.timeline import Histories, Timeline
from projections import pipeline
from projections.model import fold
from projections.timeline import SubjectRecord
from tests.projections.worlds import World, at


def histories_of(world: World) -> Histories:
    snapshots = Snapshots(MemorySegments(), world.reader, world.mapper, TABLES)
    return Histories(world.reader, world.mapper, snapshots)


def timeline_of(world: World) -> Timeline:
    return Timeline(histories_of(world), world.views.timeline, world.unsealer)


async def a_lead(world: World) -> tuple[UUID, UUID]:
    id, subject_id = uuid7(), uuid7()
    money = Money(amount=Decimal(900), currency=CurrencyCode("EUR"))
    await world.leads.capture(id=id, subject_id=subject_id, source="fair", name="Ann Lee", context=at())
    await world.leads.contact(id=id, note="met at the fair", context=at(1, reason="a call back"))
    await world.leads.qualify(id=id, value=money, context=at(2))
    return id, subject_id


async def test_a_records_history_has_every_event_with_cause_and_reason(log_world: World) -> None:
    id, subject_id = await a_lead(log_world)
    await a_lead(log_world)
    await log_world.reader.horizon()
    entries = await timeline_of(log_world).of_record(id, limit=10)

    assert [(it.version, it.type) for it in entries] == [
        (1, "lead.captured"), (2, "lead.contacted"), (3, "lead.qualified")
    ]  # fmt: skip
    captured, contacted, qualified = entries
    assert captured.personal == {"name": "Ann Lee", "email": None, "phone": None, "note": None}
    assert captured.data["subject_id"] == str(subject_id)
    assert captured.reason is None
    assert (contacted.personal, contacted.reason) == ({"note": "met at the fair"}, "a call back")
    assert qualified.data["value"] == {"amount": "900.00", "currency": "EUR"}
    assert qualified.occurred_at == at(2).occurred_at
    assert qualified.actor == "tester"

    rest = await timeline_of(log_world).of_record(id, after=captured.position, limit=1)
    assert rest == [contacted]
    assert await timeline_of(log_world).of_record(uuid7(), limit=10) == []


async def test_a_persons_history_runs_through_all_records_that_name_them(world: World) -> None:
    lead, subject_id = await a_lead(world)
    shop, shops_subject = uuid7(), uuid7()
    await world.customers.register(
        id=shop,
        subject_id=shops_subject,
        kind=CustomerKind.ORGANISATION,
        organisation="Acme",
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        context=at(),
    )
    await world.customers.add_contact(id=shop, contact_id=subject_id, name="Ann Lee", context=at())
    erasure = await world.erase(subject_id)
    await world.settle()

    records = await world.views.timeline.records(subject_id)
    assert [(it.id, it.kind) for it in records] == [(lead, "lead"), (shop, "customer"), (erasure, "erasure")]
    assert isinstance(records[0], SubjectRecord)
    entries = await world.views.timeline.entries(subject_id, limit=10)
    assert [it.topic for it in entries] == [
        "lead.captured", "lead.contacted", "lead.qualified", "customer.contact_added",
        "erasure.requested", "subject.erased",
    ]  # fmt: skip
    assert await world.views.timeline.entries(subject_id, limit=2, after=entries[2].position) == entries[3:5]
    assert [it.originator_id for it in await world.views.timeline.entries(shops_subject, limit=9)] == [
        shop,
        shop,
    ]


async def test_after_an_erasure_histories_go_on_with_erased_in_place_of_values(log_world: World) -> None:
    id, subject_id = await a_lead(log_world)
    neighbour, _ = await a_lead(log_world)
    await log_world.erase(subject_id)
    await log_world.settle()
    timeline = timeline_of(log_world)

    captured, contacted, _ = await timeline.of_record(id, limit=10)
    assert captured.personal["name"] == Erased(Category.IDENTITY)
    assert contacted.personal["note"] == Erased(Category.CONVERSATION)
    assert contacted.reason == Erased(Category.CONVERSATION)
    assert (await timeline.of_record(neighbour, limit=1))[0].personal["name"] == "Ann Lee"
    of_subject = await timeline.of_subject(subject_id, limit=10)
    assert [it.type for it in of_subject][-2:] == ["erasure.requested", "subject.erased"]
    assert of_subject[0] == captured


@pytest.mark.parametrize(
    ("hours", "known", "stage"),
    [
        (None, None, "qualified"),
        (0.5, None, "new"),
        (1, None, "engaged"),
        (-1, None, None),
        (9, 2, "engaged"),
    ],
)
async def test_a_record_is_folded_as_of_a_time_and_as_it_was_known_at_a_time(
    log_world: World, hours: float | None, known: int | None, stage: str | None
) -> None:
    id, _ = await a_lead(log_world)
    history = await histories_of(log_world).of(id)
    row = fold(
        pipeline.project,
        id,
        history,
        as_of=None if hours is None else at(hours).occurred_at,
        known_at=None if known is None else history[known - 1].envelope.recorded_at,
    )
    assert (None if row is None else row.stage) == stage
