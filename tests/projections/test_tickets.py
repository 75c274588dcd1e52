"""The tickets and their figures, from commands to what they answer, on every kind of views."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, cast
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.model import DomainError, happening_at
from domain.ticket.aggregate import Ticket
from domain.ticket.sla import STANDARD, deadlines
from domain.values import Channel, Level, Priority, SupportLine, TicketStatus
from projections.analytics import POINTS_MAX, Every, Spread, TooManyPoints, points
from projections.tickets import Queue, Span, TicketFilter, TicketRow, project
from services.ports import Envelope, Recorded
from tests.projections.worlds import START, World, at

HOUR = timedelta(hours=1)
OPEN, WAITING = TicketStatus.OPEN, TicketStatus.WAITING


async def ticket(world: World, hours: float = 0, *, urgent: bool = False, team: str | None = None) -> UUID:
    id = uuid7()
    level = Level.HIGH if urgent else Level.LOW
    await world.tickets.open(
        id=id,
        subject_id=uuid7(),
        channel=Channel.EMAIL,
        impact=level,
        urgency=level,
        subject="It does not start",
        context=at(hours),
    )
    if team is not None:
        await world.tickets.assign(id=id, team=team, context=at(hours))
    return id


async def shown(world: World, id: UUID) -> TicketRow:
    row = await world.views.tickets.ticket(id)
    assert row is not None
    return row


async def test_a_ticket_is_shown_with_whoever_has_it_and_how_it_stands(world: World) -> None:
    id, neighbour, agent = await ticket(world), await ticket(world), uuid7()
    await world.tickets.assign(id=id, team="east", agent_id=agent, context=at(1))
    await world.tickets.prioritise(id=id, impact=Level.HIGH, urgency=Level.HIGH, context=at(2))
    await world.tickets.escalate(id=id, line=SupportLine.SECOND, context=at(3))
    await world.tickets.send_reply(id=id, channel=Channel.EMAIL, text="Looking", context=at(4))
    await world.tickets.send_reply(id=id, channel=Channel.EMAIL, text="Still", context=at(5))
    await world.tickets.pause(id=id, waiting_for="vendor", context=at(6))
    await world.settle()

    row = await shown(world, id)
    assert (row.team, row.agent_id, row.line, row.priority) == (
        "east", agent, SupportLine.SECOND, Priority.CRITICAL
    )  # fmt: skip
    assert (row.status, row.waiting_for, row.first_response_at) == (WAITING, "vendor", START + 4 * HOUR)
    assert await world.clear(row.subject) == "It does not start"
    assert row.description is None
    assert (await shown(world, neighbour)).version == 1

    await world.tickets.resume(id=id, context=at(7))
    await world.tickets.escalate(id=id, line=SupportLine.THIRD, team="labs", context=at(8))
    await world.tickets.resolve(id=id, context=at(9))
    await world.tickets.reopen(id=id, context=at(10))
    await world.tickets.close(id=id, context=at(11))
    await world.settle()
    row = await shown(world, id)
    assert (row.status, row.team, row.agent_id) == (TicketStatus.CLOSED, "labs", None)
    assert (row.resolved_at, row.closed_at) == (START + 11 * HOUR, START + 11 * HOUR)
    assert row.pauses == [
        Span(since=START + since * HOUR, until=START + (since + 1) * HOUR) for since in (6, 9)
    ]
    assert row.unresolved == [
        Span(since=START, until=START + 9 * HOUR), Span(since=START + 10 * HOUR, until=START + 11 * HOUR)
    ]  # fmt: skip


async def test_due_times_allow_for_pauses_and_a_breach_stays_one(world: World) -> None:
    # Critical: the first response within 30 minutes, the resolution within 4 hours, day and night.
    late, paused, quick = [await ticket(world, urgent=True) for _ in range(3)]
    await world.tickets.pause(id=paused, waiting_for="customer", context=at(0.25))
    await world.tickets.send_reply(id=quick, channel=Channel.EMAIL, text="Done", context=at(0.5))
    await world.tickets.resolve(id=quick, context=at(4))
    await world.settle()
    views = world.views.tickets

    async def breached(hours: float) -> list[UUID]:
        rows = await views.list_tickets(TicketFilter(breached=True), at=START + hours * HOUR, limit=9)
        assert all(it.breached(START + hours * HOUR) for it in rows)
        return [it.id for it in rows]

    assert (await shown(world, late)).first_response_due == START + 0.5 * HOUR
    assert (await shown(world, late)).resolution_due == START + 4 * HOUR
    assert (await shown(world, paused)).resolution_due is None
    assert await breached(0.5) == []
    assert await breached(0.51) == [late]
    assert await breached(100) == [late]

    await world.tickets.resume(id=paused, context=at(2.25))
    await world.tickets.resolve(id=late, context=at(1))
    await world.settle()
    assert (await shown(world, paused)).first_response_due == START + 2.5 * HOUR
    assert (await shown(world, paused)).resolution_due == START + 6 * HOUR
    assert await breached(2.5) == [late]
    assert await breached(2.6) == [late, paused]


async def test_queues_say_what_each_team_has_to_do(world: World) -> None:
    await ticket(world, 3)
    first = await ticket(world, 1, urgent=True, team="east")
    second = await ticket(world, 2, team="east")
    done = await ticket(world, 0, team="west")
    await world.tickets.assign(id=first, team="east", agent_id=uuid7(), context=at(2))
    await world.tickets.pause(id=second, waiting_for="customer", context=at(3))
    await world.tickets.resolve(id=done, context=at(4))
    await world.settle()

    now = START + 5 * HOUR
    assert await world.views.tickets.queues(TicketFilter(), at=now) == [
        Queue("east", open=1, waiting=1, unassigned=1, breached=1, oldest_opened_at=START + HOUR),
        Queue(None, open=1, waiting=0, unassigned=1, breached=0, oldest_opened_at=START + 3 * HOUR),
    ]
    urgent = await world.views.tickets.queues(TicketFilter(priority=Priority.CRITICAL), at=now)
    assert [(it.team, it.open, it.waiting) for it in urgent] == [("east", 1, 0)]

    async def ids(where: TicketFilter) -> list[UUID]:
        return [it.id for it in await world.views.tickets.list_tickets(where, at=now, limit=9)]

    assert await ids(TicketFilter(unresolved=False)) == [done]
    assert await ids(TicketFilter(team="east", unassigned=True)) == [second]
    assert await ids(TicketFilter(status=WAITING, channel=Channel.EMAIL, line=SupportLine.FIRST)) == [second]
    assert await ids(TicketFilter(breached=True)) == [first]
    page = await world.views.tickets.list_tickets(TicketFilter(team="east"), at=now, limit=1, after=first)
    assert [it.id for it in page] == [second]
    assert [it.id for it in await world.views.tickets.tickets([done, uuid7(), first])] == [done, first]


async def test_ticket_times_are_spread_for_all_and_by_priority(log_world: World) -> None:
    for hours in (1, 3):
        id = await ticket(log_world)
        await log_world.tickets.send_reply(id=id, channel=Channel.EMAIL, text="Hm", context=at(hours))
        await log_world.tickets.resolve(id=id, context=at(10 * hours))
    await ticket(log_world, urgent=True)
    await log_world.settle()

    everything, critical, low = await log_world.views.analytics.ticket_times(TicketFilter(), at=START)
    assert (everything.priority, critical.priority, low.priority) == (None, Priority.CRITICAL, Priority.LOW)
    hour = HOUR.total_seconds()
    assert low.first_response == Spread(2, 2 * hour, 2.8 * hour, 2 * hour)
    assert low.resolution == Spread(2, 20 * hour, 28 * hour, 20 * hour)
    assert (everything.resolution, critical.resolution) == (low.resolution, Spread(0, None, None, None))


async def test_the_backlog_counts_what_was_unresolved_at_each_midnight(log_world: World) -> None:
    early, reopened = await ticket(log_world), await ticket(log_world)
    await log_world.tickets.resolve(id=early, context=at(30))
    await log_world.tickets.resolve(id=reopened, context=at(1))
    await log_world.tickets.reopen(id=reopened, context=at(50))
    await ticket(log_world, 60)
    await log_world.settle()

    async def series(
        since: datetime, until: datetime, every: Every = Every.DAY
    ) -> list[tuple[int, int, int, int]]:
        found = await log_world.views.analytics.backlog(TicketFilter(), every=every, since=since, until=until)
        return [(it.at.day, it.unresolved, it.opened, it.resolved) for it in found]

    assert await series(START, START + 63 * HOUR) == [(3, 1, 2, 1), (4, 0, 0, 1), (5, 2, 2, 0)]
    assert await series(START + 24 * HOUR, START + 30 * HOUR) == [(4, 0, 0, 1)]
    assert await series(START, START + 63 * HOUR, Every.WEEK) == [(9, 2, 4, 2)]


def test_points_lie_at_midnights_and_are_not_too_many() -> None:
    monday = datetime(2026, 3, 2, tzinfo=UTC)
    assert points(Every.DAY, monday, monday) == [monday + timedelta(days=1)]
    assert points(Every.WEEK, monday, monday + timedelta(days=8)) == [
        monday + timedelta(days=7), monday + timedelta(days=14)
    ]  # fmt: skip
    assert len(points(Every.DAY, monday, monday + timedelta(days=POINTS_MAX))) == POINTS_MAX
    with pytest.raises(TooManyPoints):
        points(Every.DAY, monday, monday + timedelta(days=POINTS_MAX + 2))


def test_due_times_are_those_of_the_pauses_whatever_a_ticket_goes_through() -> None:
    for steps in product(("pause", "resume", "resolve", "reopen", "close", "prioritise"), repeat=4):
        rows: dict[UUID, TicketRow] = {}
        for recorded in _recorded(steps):
            project(rows, recorded)
        (row,) = rows.values()
        due = deadlines(
            STANDARD,
            priority=row.priority,
            opened_at=row.opened_at,
            pauses=[(it.since, it.until) for it in row.pauses],
        )
        assert (row.first_response_due, row.resolution_due) == (due.first_response, due.resolution), steps


def _recorded(steps: Iterable[str]) -> Iterator[Recorded]:
    """A ticket that goes through what of these its rules let it, an hour apart."""
    with happening_at(START):
        it = Ticket.open(
            id=uuid7(),
            subject_id=uuid7(),
            channel=Channel.EMAIL,
            impact=Level.LOW,
            urgency=Level.LOW,
            subject=None,
        )
    said: dict[str, dict[str, Any]] = {
        "pause": {"waiting_for": "vendor"},
        "prioritise": {"impact": Level.HIGH, "urgency": Level.HIGH},
    }
    for hours, step in enumerate(steps, start=1):
        with happening_at(START + hours * HOUR), suppress(DomainError):
            getattr(it, step)(**said.get(step, {}))
    envelope = Envelope(uuid7(), START, "somebody", uuid7(), None, uuid7())
    for position, event in enumerate(it.collect_events(), start=1):
        yield Recorded(cast("Any", event), envelope, position)
