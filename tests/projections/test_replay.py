"""Whole views as they were, folded from the log."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.values import Channel, CurrencyCode, Level, Money
from infra.history.replay import Replays, TooManyRecords
from projections.analytics import Every, WinRateBy
from projections.directory import CustomerFilter
from projections.pipeline import LeadFilter
from projections.tickets import TicketFilter
from projections.views import Views
from tests.projections.worlds import World, at

KINDS = ("customer", "lead", "member", "ticket")


def replays_of(world: World, rows_max: int = 1_000) -> Replays:
    return Replays(world.reader, world.mapper, world.unsealer, world.blind, world.ring, rows_max=rows_max)


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
    leads, tickets = LeadFilter(region="Porto"), TicketFilter()
    return [
        await views.pipeline.totals(leads),
        await views.pipeline.list_leads(leads, limit=9),
        await views.directory.list_customers(CustomerFilter(), limit=9),
        await views.tickets.list_tickets(tickets, at=now, limit=9),
        await views.tickets.queues(tickets, at=now),
        await views.analytics.funnel(leads),
        await views.analytics.cycle_time(leads),
        await views.analytics.win_rate(WinRateBy.AGENT, leads),
        await views.analytics.ticket_times(tickets, at=now),
        await views.analytics.backlog(tickets, every=Every.DAY, since=now - timedelta(days=3), until=now),
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
