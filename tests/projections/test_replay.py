"""Whole views as they were, folded from the log."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.ticket.events import TicketPaused
from domain.values import Channel, CurrencyCode, Level, Money
from infra.history.replay import Replays, TooManyRecords
from infra.history.segments import Snapshots
from infra.memory.segments import MemorySegments
from infra.postgres.segments import PostgresSegments
from infra.postgres.views.tables import TABLES, TICKETS
from infra.projector import LOG
from projections import tickets
from projections.analytics import Every, WinRateBy
from projections.directory import CustomerFilter
from projections.pipeline import LeadFilter
from projections.tickets import TicketFilter
from projections.views import Views
from tests.projections.test_dead_letters import Stumbles, stumbling
from tests.projections.test_projector import log_of
from tests.projections.test_rebuild import some_business
from tests.projections.worlds import START, World, at, dead_letters, postgres_world

KINDS = ("customer", "lead", "member", "ticket")


def replays_of(world: World, rows_max: int = 1_000) -> Replays:
    records = Snapshots(MemorySegments(), world.reader, world.mapper, TABLES)
    return replays_with(world, records, rows_max)


def replays_with(world: World, records: Snapshots, rows_max: int = 1_000) -> Replays:
    return Replays(
        world.reader, world.mapper, records, world.unsealer, world.blind, world.ring, rows_max=rows_max
    )


def euros(amount: int) -> Money:
    return Money(amount=Decimal(amount), currency=CurrencyCode("EUR"))


async def a_business(world: World) -> dict[str, UUID]:
    """Two sales, one won, and a ticket that was answered."""
    ids = {name: uuid7() for name in ("won", "open", "ticket", "owner")}
    await world.members.register(
        id=ids["owner"], subject_id=uuid7(), name="Kim Oz", email=None, office="Porto", context=at()
    )
    for name in ("won", "open"):
        await world.leads.capture(
            id=ids[name],
            subject_id=uuid7(),
            source="fair",
            name="Ann Lee",
            owner_id=ids["owner"],
            context=at(1),
        )
        await world.leads.qualify(id=ids[name], value=euros(900), context=at(2))
    await world.leads.win(id=ids["won"], value=euros(800), context=at(4))
    await world.tickets.open(
        id=ids["ticket"], subject_id=uuid7(), channel=Channel.EMAIL, impact=Level.HIGH, urgency=Level.HIGH,
        subject="Dark display", context=at(1),
    )  # fmt: skip
    await world.tickets.send_reply(id=ids["ticket"], channel=Channel.EMAIL, text="On its way", context=at(2))
    await world.tickets.resolve(id=ids["ticket"], context=at(6))
    await world.settle()
    return ids


async def everything(views: Views, now: datetime) -> list[object]:
    """What the views answer to every question that may be asked of another time."""
    leads, every = LeadFilter(region="Porto"), TicketFilter()
    return [
        await views.pipeline.totals(leads),
        await views.pipeline.list_leads(leads, limit=9),
        await views.directory.list_customers(CustomerFilter(), limit=9),
        await views.tickets.list_tickets(every, at=now, limit=9),
        await views.tickets.queues(every, at=now),
        await views.analytics.funnel(leads),
        await views.analytics.cycle_time(leads),
        await views.analytics.win_rate(WinRateBy.AGENT, leads),
        await views.analytics.ticket_times(every, at=now),
        await views.analytics.backlog(every, every=Every.DAY, since=now - timedelta(days=3), until=now),
    ]


async def test_replayed_without_bounds_views_answer_as_the_live_ones(log_world: World) -> None:
    await a_business(log_world)
    now = at(48).occurred_at
    replayed = await replays_of(log_world).views(KINDS, None, None)
    assert await everything(replayed, now) == await everything(log_world.views, now)


async def test_the_pipeline_stands_as_it_stood(log_world: World) -> None:
    await a_business(log_world)
    replays = replays_of(log_world)

    async def stages(as_of: float) -> dict[str, int]:
        views = await replays.views(("lead", "member"), at(as_of).occurred_at, None)
        return {it.stage: it.count for it in await views.pipeline.totals(LeadFilter()) if it.count}

    assert await stages(0.5) == {}
    assert await stages(1.5) == {"new": 2}
    assert await stages(3) == {"qualified": 2}
    assert await stages(5) == {"qualified": 1, "won": 1}
    assert await stages(1.5) == {"new": 2}


async def test_a_correction_backdated_today_changes_what_was_true_never_what_was_known(
    log_world: World,
) -> None:
    ids = await a_business(log_world)
    replays = replays_of(log_world)
    entries = await log_world.views.timeline.entries((await the_subject(log_world, ids["open"])), limit=9)
    known = entries[-1].recorded_at

    async def value(known_at: datetime | None) -> list[Money]:
        views = await replays.views(("lead", "member"), at(3).occurred_at, known_at)
        totals = await views.pipeline.totals(LeadFilter(owner_id=ids["owner"]))
        return [money for it in totals for money in it.values]

    before = await value(None)
    await log_world.leads.revalue(id=ids["open"], value=euros(100), context=at(2.5))
    await log_world.settle()
    assert [it.amount for it in before] == [Decimal(1800)]
    assert [it.amount for it in await value(None)] == [Decimal(1000)]
    assert [it.amount for it in await value(known)] == [Decimal(1800)]
    await log_world.leads.revalue(id=ids["open"], value=euros(1), context=at(2.6))
    await log_world.settle()
    assert [it.amount for it in await value(known)] == [Decimal(1800)]


async def the_subject(world: World, lead_id: UUID) -> UUID:
    row = await world.views.pipeline.lead(lead_id)
    assert row is not None
    return row.subject_id


async def test_a_replay_reads_what_matters_and_says_how_far_it_is(log_world: World) -> None:
    await a_business(log_world)
    told: list[tuple[int, int]] = []
    views = await replays_of(log_world).views(("ticket",), None, None, lambda *it: told.append(it))
    assert (len(views.rows_of_tickets), len(views.rows_of_pipeline)) == (1, 0)
    assert told[-1][0] == told[-1][1] > 0


async def test_too_many_records_are_refused(log_world: World) -> None:
    await a_business(log_world)
    with pytest.raises(TooManyRecords):
        await replays_of(log_world, rows_max=1).views(("lead",), None, None)


async def test_a_parked_record_stands_where_the_live_view_has_it_and_all_others_go_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 3)
        parked, skipped, well = sorted(
            {it.originator_id for it in await log_of(world) if it.event.TOPIC == "ticket.opened"}
        )
        stumbling(world, monkeypatch, TICKETS, TicketPaused, {parked, skipped})
        faulty = replace(TICKETS, project=Stumbles(TICKETS, TicketPaused, {parked, skipped}))
        monkeypatch.setattr(tickets, "project", faulty.project)
        assert world.pool is not None
        reader: Any = world.reader
        tables = [faulty if it is TICKETS else it for it in TABLES]
        records = Snapshots(PostgresSegments(world.pool), reader, world.mapper, tables)
        replays = replays_with(world, records)

        async def agree(*versions: int) -> None:
            await world.store.apply(await log_of(world), LOG)
            then = await replays.views(KINDS, None, None)
            assert await everything(then, START) == await everything(world.views, START)
            assert [then.rows_of_tickets[it].version for it in (parked, skipped, well)] == list(versions)

        await agree(1, 1, 3)
        await dead_letters(world).skip(
            view="tickets", record_id=skipped, version=2, actor="somebody", reason="CHG-1"
        )
        await agree(1, 3, 3)
        for it in (parked, skipped, well):
            await world.tickets.resolve(id=it, context=at(6))
        await agree(1, 4, 4)


async def test_an_event_that_cannot_be_read_keeps_its_own_record_back_and_no_other(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 2)
        assert world.pool is not None
        async with world.pool.connection() as connection:
            await connection.execute(
                "UPDATE log.events SET state = '{}' WHERE position ="
                " (SELECT min(position) FROM log.events WHERE topic = 'ticket.paused')"
            )
        then = await replays_of(world).views(KINDS, None, None)
        assert sorted(it.version for it in then.rows_of_tickets.values()) == [1, 3]
        assert len(then.rows_of_pipeline) == 2
