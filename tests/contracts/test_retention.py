"""Applying retention, on PostgreSQL and on its twins in memory."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.erasure.events import ErasureRequested
from domain.model import Category
from domain.values import Channel, CustomerKind, ErasureGround, Level, RestrictionCause
from infra import retention
from infra.retention import Tally, tallied
from projections.rights import RetentionFilter
from services.ports import KeyState, Unavailable
from services.retention import Because, NotAStart, NothingToRetain, policy_of
from tests.rightsworlds import RightsWorld, rights_world

TALK = Category.CONVERSATION
OPENING: dict[str, Any] = {"channel": Channel.EMAIL, "impact": Level.LOW, "urgency": Level.LOW}


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def world(url: str | None, tmp_path: Path) -> AsyncIterator[RightsWorld]:
    async with rights_world(url, tmp_path) as it:
        yield it


async def keep(world: RightsWorld, kind: str, category: Category, days: int, *after: str) -> None:
    term: dict[str, Any] = {"days": days, "after": after, "legal_reason": "limitation of claims"}
    await world.retentions.set(kind=kind, category=category, context=world.command(), **term)


async def ticket(
    world: RightsWorld, subject_id: UUID | None = None, *, closed: bool = True
) -> tuple[UUID, UUID]:
    id, subject_id = uuid4(), subject_id or uuid4()
    await world.tickets.open(
        id=id, subject_id=subject_id, context=world.command(), subject="Dark display", **OPENING
    )
    if closed:
        await world.tickets.close(id=id, context=world.command())
    return subject_id, id


async def later(world: RightsWorld, days: int) -> None:
    world.clock.moment += timedelta(days=days)
    await world.follow()


async def apply(world: RightsWorld) -> Tally:
    tally = await world.retention.apply(world.clock.now())
    await world.follow()
    return tally


async def state(world: RightsWorld, subject_id: UUID, category: Category = TALK) -> KeyState:
    return (await world.log.ring.states(subject_id))[category]


async def test_a_closed_ticket_loses_its_words_when_its_time_is_up(world: RightsWorld) -> None:
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    ann, _ = await ticket(world)
    bob, _ = await ticket(world, closed=False)
    await later(world, 29)
    assert (await apply(world)).people == 0
    await later(world, 1)
    tally = await apply(world)
    assert (tally.people, tally.categories, dict(tally.kept)) == (1, {TALK: 1}, {})
    assert (await state(world, ann), await state(world, bob)) == (KeyState.ERASED, KeyState.ACTIVE)
    [row] = await world.views.directory.erasures_of(ann)
    assert (row.ground, row.categories, row.erased_at) == (
        ErasureGround.STORAGE_LIMITATION,
        [TALK],
        world.clock.now(),
    )


async def test_a_second_run_finds_nothing_more_to_do(world: RightsWorld) -> None:
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    await ticket(world)
    await later(world, 40)
    assert (await apply(world)).people == 1
    horizon = await world.log.reader.horizon()
    assert (await apply(world)).people == 0
    assert await world.log.reader.horizon() == horizon


async def test_a_plan_says_what_would_go_and_why_the_rest_is_kept_and_touches_nothing(
    world: RightsWorld,
) -> None:
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    ann, _ = await ticket(world)
    held, _ = await ticket(world)
    restricted, _ = await ticket(world)
    living, _ = await world.person()
    await ticket(world, living)
    await world.holds.place(id=uuid4(), matter="m", subject_ids=[held], context=world.command())
    await world.restrictions.impose(
        subject_id=restricted, cause=RestrictionCause.LEGAL_CLAIMS, context=world.command()
    )
    await later(world, 40)
    plan = {found[0].subject_id: found[0] async for found in world.retention.plan(world.clock.now())}
    assert {id: [it.because for it in one.keeps] for id, one in plan.items()} == {
        ann: [],
        held: [Because.HELD],
        restricted: [Because.RESTRICTED],
        living: [Because.NO_POLICY],
    }
    assert list(plan) == sorted(plan)
    rest = [
        found[0].subject_id async for found in world.retention.plan(world.clock.now(), after=sorted(plan)[1])
    ]
    assert rest == sorted(plan)[2:]
    tally = await tallied(world.retention.plan(world.clock.now()))
    assert (tally.people, tally.kept.total()) == (1, 3)
    assert await state(world, ann) is KeyState.ACTIVE
    await apply(world)
    assert [await state(world, it) for it in (ann, held, restricted, living)] == [
        KeyState.ERASED,
        *[KeyState.ACTIVE] * 3,
    ]


async def test_a_living_customer_keeps_what_an_archived_one_loses(world: RightsWorld) -> None:
    for category in (TALK, Category.IDENTITY):
        await keep(world, "customer", category, 10, "customer.archived")
    await keep(world, "ticket", TALK, 10, "ticket.closed")
    ann, anns = await world.person()
    bob, bobs = await world.person()
    for subject_id, id in ((ann, anns), (bob, bobs)):
        await ticket(world, subject_id)
        await world.customers.archive(id=id, context=world.command())
    await world.customers.reinstate(id=anns, context=world.command())
    await later(world, 20)
    tally = await apply(world)
    assert (tally.people, tally.categories) == (1, {TALK: 1, Category.IDENTITY: 1})
    assert tally.kept == {Because.IN_WORK: 1}  # of Ann, whose ticket is past: nothing else of hers is
    assert [await state(world, it, Category.IDENTITY) for it in (ann, bob)] == [
        KeyState.ACTIVE,
        KeyState.ERASED,
    ]


async def test_a_removed_contact_is_past_its_time_and_the_others_are_not(world: RightsWorld) -> None:
    await keep(world, "customer", Category.IDENTITY, 10, "customer.archived", "customer.contact_removed")
    _, id = await world.person(kind=CustomerKind.ORGANISATION, name=None, organisation="Acme")
    gone, back, stays = uuid4(), uuid4(), uuid4()
    for contact_id in (gone, back, stays):
        await world.customers.add_contact(id=id, contact_id=contact_id, name="Jo", context=world.command())
    for contact_id in (gone, back):
        await world.customers.remove_contact(id=id, contact_id=contact_id, context=world.command())
    await world.customers.add_contact(id=id, contact_id=back, name="Jo", context=world.command())
    await later(world, 20)
    assert (await apply(world)).people == 1
    states = [await state(world, it, Category.IDENTITY) for it in (gone, back, stays)]
    assert states == [KeyState.ERASED, KeyState.ACTIVE, KeyState.ACTIVE]
    await world.customers.archive(id=id, context=world.command())
    await later(world, 20)
    assert (await apply(world)).people == 2


async def test_what_was_never_sealed_is_not_asked_to_be_erased(world: RightsWorld) -> None:
    await keep(world, "customer", Category.CONTACT, 10, "customer.archived")
    _, id = await world.person()
    await world.customers.archive(id=id, context=world.command())
    await later(world, 20)
    assert (await tallied(world.retention.plan(world.clock.now()))).people == 0


async def test_who_came_back_since_the_plan_is_spared(world: RightsWorld) -> None:
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    ann, id = await ticket(world)
    await later(world, 40)
    everybody = world.everybody.everybody

    async def and_then(*asked: Any, **more: Any) -> AsyncIterator[Any]:
        async for it in everybody(*asked, **more):
            yield it
        await world.tickets.reopen(id=id, context=world.command())
        await world.follow()

    world.everybody.everybody = and_then  # type: ignore[method-assign,assignment]
    assert (await apply(world)).people == 0
    assert await state(world, ann) is KeyState.ACTIVE


async def test_nothing_is_erased_while_the_views_are_behind_the_log(
    world: RightsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "VIEWS_SECONDS_MAX", 0.1)
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    ann, _ = await ticket(world)
    await later(world, 31)
    await ticket(world, ann, closed=False)  # the views do not show it yet
    with pytest.raises(Unavailable):
        await world.retention.apply(world.clock.now())
    assert await state(world, ann) is KeyState.ACTIVE


async def test_a_run_that_died_after_the_request_is_finished(world: RightsWorld) -> None:
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    ann, _ = await ticket(world)
    await later(world, 40)
    shred, world.log.ring.shred = world.log.ring.shred, dying  # type: ignore[method-assign,assignment]
    with pytest.raises(ConnectionError):
        await apply(world)
    world.log.ring.shred = shred  # type: ignore[method-assign]
    await world.follow()
    assert (await apply(world)).people == 1
    assert await state(world, ann) is KeyState.ERASED
    stored = [await world.recorded(it) for it in range(1, await world.log.reader.horizon() + 1)]
    assert sum(isinstance(it.event, ErasureRequested) for it in stored) == 1


async def dying(*_: Any) -> None:
    raise ConnectionError


async def test_a_policy_is_about_data_that_the_kind_of_record_holds_and_its_own_events(
    world: RightsWorld,
) -> None:
    for kind, category in (("ticket", Category.FINANCIAL), ("restriction", TALK), ("nothing", TALK)):
        with pytest.raises(NothingToRetain):
            await keep(world, kind, category, 30, "last_activity")
    with pytest.raises(NotAStart):
        await keep(world, "ticket", TALK, 30, "lead.lost")


async def test_the_view_shows_the_policies_in_force(world: RightsWorld) -> None:
    await keep(world, "ticket", TALK, 30, "ticket.closed")
    await keep(world, "lead", TALK, 90, "last_activity")
    await keep(world, "ticket", TALK, 60, "ticket.closed")
    await world.retentions.withdraw(id=policy_of("lead", TALK), context=world.command())
    await world.follow()
    rights = world.views.rights
    [row] = await rights.list_policies(RetentionFilter(living=True), limit=10)
    assert (row.kind, row.category, row.days, row.after, row.version) == (
        "ticket",
        TALK,
        60,
        ["ticket.closed"],
        2,
    )
    assert [it.kind for it in await rights.list_policies(RetentionFilter(living=False), limit=10)] == ["lead"]
    assert list(await world.retention.policies()) == [("ticket", TALK)]
