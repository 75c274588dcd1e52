"""Histories, of a record and of a person."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.model import Category, Erased
from domain.values import CurrencyCode, CustomerKind, LawfulBasis, LossReason, Money
from infra.history.changes import Change
from infra.history.segments import Snapshots
from infra.memory.segments import MemorySegments
from infra.postgres.views.tables import TABLES
from infra.timeline import Histories, HistoryEntry, Timeline
from projections import pipeline
from projections.model import fold
from projections.timeline import Effect, EntryFilter, Order, Place, SubjectRecord
from tests.projections.worlds import World, at


def histories_of(world: World) -> Histories:
    snapshots = Snapshots(MemorySegments(), world.reader, world.mapper, TABLES)
    return Histories(world.reader, world.mapper, snapshots)


def timeline_of(world: World) -> Timeline:
    return Timeline(histories_of(world), world.views.timeline, world.unsealer, world.ring)


async def of_record(world: World, id: UUID, *, after: int = 0, limit: int = 10) -> Sequence[HistoryEntry]:
    page = await timeline_of(world).page(EntryFilter(record_id=id), after=Place(after), limit=limit)
    return page.entries


async def a_lead(world: World) -> tuple[UUID, UUID]:
    id, subject_id = uuid7(), uuid7()
    money = Money(amount=Decimal(900), currency=CurrencyCode("EUR"))
    await world.leads.capture(id=id, subject_id=subject_id, source="fair", name="Ann Lee", context=at())
    await world.leads.contact(id=id, note="met at the fair", context=at(1, reason="a call back"))
    await world.leads.qualify(id=id, value=money, context=at(2))
    return id, subject_id


async def a_shop(world: World, id: UUID) -> UUID:
    subject_id = uuid7()
    await world.customers.register(
        id=id,
        subject_id=subject_id,
        kind=CustomerKind.ORGANISATION,
        organisation="Acme",
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        context=at(),
    )
    return subject_id


async def test_a_records_history_has_every_event_with_cause_and_reason(log_world: World) -> None:
    id, subject_id = await a_lead(log_world)
    await a_lead(log_world)
    await log_world.reader.horizon()
    entries = await of_record(log_world, id)

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

    assert await of_record(log_world, id, after=captured.position, limit=1) == [contacted]
    assert await of_record(log_world, uuid7()) == []


async def test_a_persons_history_runs_through_all_records_that_name_them(world: World) -> None:
    lead, subject_id = await a_lead(world)
    shop = uuid7()
    shops_subject = await a_shop(world, shop)
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

    captured, contacted, _ = await of_record(log_world, id)
    assert captured.personal["name"] == Erased(Category.IDENTITY)
    assert contacted.personal["note"] == Erased(Category.CONVERSATION)
    assert contacted.reason == Erased(Category.CONVERSATION)
    assert (await of_record(log_world, neighbour))[0].personal["name"] == "Ann Lee"
    of_subject = (await timeline.page(EntryFilter(subject_id=subject_id), limit=10)).entries
    assert [it.type for it in of_subject][-2:] == ["erasure.requested", "subject.erased"]
    assert of_subject[0] == captured
    assert captured.changes[-1] == Change("name", None, Erased(Category.IDENTITY))


async def test_an_entry_tells_what_changed_from_what_to_what(log_world: World) -> None:
    id, _ = await a_lead(log_world)
    shop, contact_id = uuid7(), uuid7()
    await log_world.leads.assign(id=id, owner_id=contact_id, context=at(3))
    await a_shop(log_world, shop)
    await log_world.customers.add_contact(id=shop, contact_id=contact_id, name="Ann Lee", context=at())
    await log_world.customers.change_contact(
        id=shop, contact_id=contact_id, name="Ann Lee", role="buyer", email=None, phone=None, context=at(1)
    )
    await log_world.customers.tag(id=shop, tags=["vip"], context=at(2))
    await log_world.customers.remove_contact(id=shop, contact_id=contact_id, context=at(3))
    await log_world.reader.horizon()

    captured, contacted, qualified, assigned = await of_record(log_world, id)
    assert {it.field: it.after for it in captured.changes} == {
        "stage": "new", "furthest": "new", "source": "fair", "captured_at": "2026-03-02T09:00:00Z",
        "name": "Ann Lee",
    }  # fmt: skip
    assert {it.before for it in captured.changes} == {None}
    assert contacted.changes[0] == Change("stage", "new", "engaged")
    assert Change("value", None, "900.00") in qualified.changes
    assert assigned.changes == [Change("owner_id", None, str(contact_id))]
    _, added, changed, tagged, removed = await of_record(log_world, shop)
    person = f"contacts.{contact_id}"
    assert added.changes == [Change(person, None, True), Change(f"{person}.name", None, "Ann Lee")]
    assert changed.changes == [Change(f"{person}.role", None, "buyer")]
    assert tagged.changes == [Change("tags", None, ["vip"])]
    assert [(it.field, it.after) for it in removed.changes] == [
        (person, None), (f"{person}.name", None), (f"{person}.role", None)
    ]  # fmt: skip


async def test_events_are_found_by_actor_period_type_and_what_they_came_from(world: World) -> None:
    id, _ = await a_lead(world)
    other, _ = await a_lead(world)
    cause = (await of_record(world, id))[1]
    context = replace(
        at(5), actor="robot", on_behalf_of="someone", causation_id=cause.event_id, purpose="sales"
    )
    await world.leads.lose(id=id, cause=LossReason.PRICE, context=context)
    await world.settle()
    timeline = timeline_of(world)

    async def found(where: EntryFilter, **more: Any) -> list[tuple[UUID, str]]:
        page = await timeline.page(where, **{"limit": 10, **more})
        return [(it.record_id, it.type) for it in page.entries]

    lost = (id, "lead.lost")
    assert (
        await found(EntryFilter(actor="robot")) == await found(EntryFilter(on_behalf_of="someone")) == [lost]
    )
    assert await found(EntryFilter(record_id=id, topics={"lead.lost"})) == [lost]
    won = EntryFilter(topics={"lead.qualified"}, occurred_from=at(1).occurred_at)
    assert await found(won, order=Order.OCCURRED) == [(id, "lead.qualified"), (other, "lead.qualified")]
    until = EntryFilter(occurred_from=at(1).occurred_at, occurred_until=at(2).occurred_at)
    assert {kind for _, kind in await found(until)} == {"lead.contacted"}
    assert (await of_record(world, id))[1].caused == [
        Effect(event_id=ANY, record_id=id, position=ANY, type="lead.lost")
    ]

    everything = [it for order in [Order.RECORDED] for it in await found(EntryFilter(), order=order)]
    pages, place = [], None
    while True:
        page = await timeline.page(EntryFilter(), order=Order.RECORDED, after=place, limit=2)
        pages += [(it.record_id, it.type) for it in page.entries]
        if (place := page.next) is None:
            break
    assert pages == everything
    assert len(pages) == 7


async def test_two_moments_of_a_record_are_compared_field_by_field(log_world: World) -> None:
    id, _ = await a_lead(log_world)
    await log_world.reader.horizon()
    histories = histories_of(log_world)
    then = await histories.as_of(pipeline.project, id, as_of=at(0.5).occurred_at, known_at=None)
    now = await histories.as_of(pipeline.project, id, as_of=None, known_at=None)
    found, subjects, _ = await timeline_of(log_world).differences(then, now, grounded=False)
    assert found[:2] == [Change("stage", "new", "qualified"), Change("furthest", "new", "qualified")]
    assert subjects == set()
    found, subjects, categories = await timeline_of(log_world).differences(None, now, grounded=False)
    assert Change("name", None, "Ann Lee") in found
    assert (len(subjects), categories) == (1, {Category.IDENTITY})


async def test_what_is_restricted_is_withheld_unless_there_is_a_ground(log_world: World) -> None:
    id, subject_id = await a_lead(log_world)
    await log_world.ring.restrict(subject_id, restricted=True, position=1)
    await log_world.reader.horizon()
    timeline, where = timeline_of(log_world), EntryFilter(record_id=id)
    page = await timeline.page(where, limit=10)
    assert [it.restricted for it in page.entries] == [True, True, False]
    assert (page.entries[0].personal["name"], page.entries[1].reason, page.subjects) == (None, None, set())
    shown = await timeline.page(where, limit=10, grounded=True)
    assert (shown.entries[0].personal["name"], shown.subjects) == ("Ann Lee", {subject_id})
    assert not any(it.restricted for it in shown.entries)


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
