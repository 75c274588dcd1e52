"""Legal holds, on PostgreSQL and on its twins in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.hold.aggregate import Hold, HoldIsLifted, SubjectWasReleased
from domain.model import Category, Sealed
from projections.rights import HoldFilter
from services.application import replay
from services.erasures import SubjectNotFound
from services.ports import SubjectIsErased, SubjectIsHeld
from tests.rightsworlds import RightsWorld, rights_world


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def world(url: str | None, tmp_path: Path) -> AsyncIterator[RightsWorld]:
    async with rights_world(url, tmp_path) as it:
        yield it


async def place(world: RightsWorld, *subject_ids: UUID) -> UUID:
    hold = await world.holds.place(
        id=uuid4(),
        matter="2026-114",
        description="A claim of Ann's.",
        subject_ids=subject_ids,
        context=world.command(reason="their lawyer wrote"),
    )
    return hold.id


async def stands(world: RightsWorld, id: UUID) -> Hold:
    return replay(Hold, id, (await world.log.store.load(id)).events)


async def is_held(world: RightsWorld, subject_id: UUID) -> bool:
    standing = (await world.log.ring.standings([subject_id])).get(subject_id)
    return standing is not None and standing.held


async def test_nothing_of_a_held_person_is_destroyed(world: RightsWorld) -> None:
    ann, _ = await world.person()
    bob, _ = await world.person()
    await place(world, ann)
    with pytest.raises(SubjectIsHeld):
        await world.log.ring.shred(ann)
    with pytest.raises(SubjectIsHeld):
        await world.log.ring.shred(ann, {Category.CONTACT})
    await world.log.ring.shred(bob)


async def test_a_lifted_hold_stands_against_nothing(world: RightsWorld) -> None:
    people = [(await world.person())[0] for _ in range(3)]
    hold = await place(world, *people)
    await world.holds.release(id=hold, subject_ids=people[:1], context=world.command())
    await world.log.ring.shred(people[0])
    await world.holds.lift(id=hold, context=world.command())
    for subject_id in people[1:]:
        await world.log.ring.shred(subject_id)


async def test_two_holds_each_stand_for_themselves(world: RightsWorld) -> None:
    ann, _ = await world.person()
    first, second = await place(world, ann), await place(world, ann)
    await world.holds.lift(id=first, context=world.command())
    with pytest.raises(SubjectIsHeld):
        await world.log.ring.shred(ann)
    await world.holds.lift(id=second, context=world.command())
    await world.log.ring.shred(ann)


async def test_nobody_erased_or_unknown_is_held(world: RightsWorld) -> None:
    ann, _ = await world.person()
    bob, _ = await world.person()
    hold = await place(world)
    await world.log.ring.shred(ann)
    for act in (
        world.holds.cover(id=hold, subject_ids=[bob, ann], context=world.command()),
        world.holds.place(id=uuid4(), matter="x", subject_ids=[bob, ann], context=world.command()),
    ):
        with pytest.raises(SubjectIsErased):
            await act
    with pytest.raises(SubjectNotFound):
        await world.holds.cover(id=hold, subject_ids=[bob, uuid4()], context=world.command())
    assert not await is_held(world, bob)
    assert (await stands(world, hold)).version == 1


async def test_a_fact_whose_mark_was_lost_in_a_crash_is_marked_from_the_log(world: RightsWorld) -> None:
    ann, _ = await world.person()
    hold = await place(world)
    covered = await world.application.change(
        Hold, hold, lambda it: it.cover(subject_ids=[ann]), context=world.command()
    )
    assert not await is_held(world, ann)  # the saga died before its second step
    await world.holds.on(await world.recorded(covered.position))
    assert await is_held(world, ann)
    released = await world.application.change(
        Hold, hold, lambda it: it.release(subject_ids=[ann]), context=world.command()
    )
    await world.holds.on(await world.recorded(covered.position))
    assert not await is_held(world, ann), "a late repeat leaves no mark behind"
    await world.holds.on(await world.recorded(released.position))
    assert not await is_held(world, ann)


async def test_who_was_erased_before_the_mark_is_released(world: RightsWorld) -> None:
    ann, _ = await world.person()
    hold = await place(world)
    covered = await world.application.change(
        Hold, hold, lambda it: it.cover(subject_ids=[ann]), context=world.command()
    )
    await world.log.ring.shred(ann)
    for _ in range(2):
        await world.holds.on(await world.recorded(covered.position))
    now = await stands(world, hold)
    assert (now.covered, now.released, now.version) == (frozenset[UUID](), frozenset({ann}), 3)


async def test_a_repeated_command_gets_its_first_answer_and_holds_nobody_anew(world: RightsWorld) -> None:
    ann, _ = await world.person()
    hold, command = await place(world), world.command()
    first = await world.holds.cover(id=hold, subject_ids=[ann], context=command)
    await world.holds.release(id=hold, subject_ids=[ann], context=world.command())
    again = await world.holds.cover(id=hold, subject_ids=[ann], context=command)
    assert (again.version, again.repeated) == (first.version, True)
    assert not await is_held(world, ann)
    with pytest.raises(SubjectWasReleased):
        await world.holds.cover(id=hold, subject_ids=[ann], context=world.command())


async def test_a_hold_that_is_placed_again_by_the_same_command_is_the_same_hold(world: RightsWorld) -> None:
    ann, _ = await world.person()
    command = world.command()
    first = await world.holds.place(id=uuid4(), matter="m", subject_ids=[ann], context=command)
    again = await world.holds.place(id=uuid4(), matter="m", subject_ids=[ann], context=command)
    assert first.id == again.id
    await world.holds.lift(id=first.id, context=world.command())
    assert not await is_held(world, ann)
    with pytest.raises(HoldIsLifted):
        await world.holds.cover(id=first.id, subject_ids=[(await world.person())[0]], context=world.command())


async def test_of_a_hold_and_an_erasure_at_once_one_wins_and_both_know_which(world: RightsWorld) -> None:
    hold = await place(world)
    for _ in range(8):
        ann, _ = await world.person()
        held, shredded = await asyncio.gather(
            world.holds.cover(id=hold, subject_ids=[ann], context=world.command()),
            world.log.ring.shred(ann),
            return_exceptions=True,
        )
        erased = ann in await world.log.ring.erased([ann])
        assert isinstance(shredded, SubjectIsHeld) is not erased
        assert isinstance(held, SubjectIsErased) is erased
        assert (ann in (await stands(world, hold)).covered) is not erased


async def test_the_view_shows_whom_a_hold_covers(world: RightsWorld) -> None:
    ann, _ = await world.person()
    bob, _ = await world.person()
    first, second = await place(world, ann, bob), await place(world, bob)
    await world.holds.release(id=first, subject_ids=[bob], context=world.command())
    await world.holds.lift(id=second, context=world.command())
    await world.follow()
    rights = world.views.rights
    [row] = await rights.list_holds(HoldFilter(covers=ann), limit=10)
    assert (row.id, row.covered, row.released, row.matter) == (first, [ann], [bob], "2026-114")
    assert isinstance(row.description, Sealed)
    assert await world.unsealer.open([row.description]) == {row.description: "A claim of Ann's."}
    assert await rights.list_holds(HoldFilter(covers=bob), limit=10) == []
    assert [it.id for it in await rights.list_holds(HoldFilter(standing=False), limit=10)] == [second]
    assert await rights.list_holds(HoldFilter(standing=True, matter="other"), limit=10) == []
    records = await world.views.timeline.records(ann)
    assert [it.kind for it in records] == ["customer", "hold"]
