"""Row 7: the clock steps back an hour in the middle of it."""

import os
from datetime import timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from domain.values import CustomerKind, LawfulBasis
from infra.rebuild import Rebuilder
from tests.projections.worlds import TestClock, World, at, postgres_world

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
CHANGES = 600 if TORTURE else 30
STEPS = (-3600, 7200, -3600, -86_400)


async def test_order_positions_and_timelines_do_not_mind(database_url: str) -> None:
    clock = TestClock()
    async with postgres_world(database_url, clock=clock) as world:
        ids = [await registered(world) for _ in range(3)]
        for number in range(CHANGES):
            if number % (CHANGES // len(STEPS)) == 0:
                clock.moment += timedelta(seconds=STEPS[number // (CHANGES // len(STEPS)) % len(STEPS)])
            await world.customers.segment(id=ids[number % 3], segment=f"s{number}", context=at(number))
        await world.settle()
        assert world.pool is not None

        log = await world.reader.read(0, 100_000)
        recorded = [world.mapper.to_domain_event(it).envelope.recorded_at for it in log]
        assert recorded != sorted(recorded), "the clock has not stepped back"
        assert [it.id for it in log] == sorted({it.id for it in log})
        for id in ids:
            versions = [it.originator_version for it in log if it.originator_id == id]
            assert versions == list(range(1, len(versions) + 1))
            assert await timeline(world, id) == versions
            row = await world.views.directory.customer(id)
            assert row is not None
            assert row.version == versions[-1]
        rebuilder = Rebuilder(world.pool, world.reader, world.mapper, world.unsealer, world.blind)
        report = await rebuilder.rebuild("directory")
        assert report.equal
    print(f"\nrow 7: {len(STEPS)} steps of the clock, {len(log)} events in order, views equal a rebuild")


async def registered(world: World) -> UUID:
    id = uuid7()
    await world.customers.register(
        id=id,
        subject_id=uuid7(),
        kind=CustomerKind.PERSON,
        source="letter",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="orders",
        name="Maya Brandt",
        email=None,
        context=at(),
    )
    return id


async def timeline(world: World, id: UUID) -> list[int]:
    """The versions of the record in the order in which its timeline shows them."""
    assert world.pool is not None
    async with world.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT version FROM timeline.entries WHERE originator_id = %s ORDER BY position", [id]
        )
        return [version for (version,) in await cursor.fetchall()]
