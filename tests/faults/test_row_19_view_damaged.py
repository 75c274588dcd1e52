"""Row 19: a view is dropped or altered by hand while it is read and written."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.postgres.views.standing import Standing
from services.ports import Unavailable
from tests.projections.test_rebuild import ask, some_business
from tests.projections.test_view_forms import Release, release_of, running
from tests.projections.worlds import World, postgres_world

BY_HAND: Sequence[tuple[str, str, str]] = (
    ("pipeline", "DROP TABLE pipeline.leads", "pipeline.leads is missing"),
    ("tickets", "DROP SCHEMA tickets CASCADE", "tickets.tickets is missing"),
    (
        "directory",
        "ALTER TABLE directory.customers DROP COLUMN tags",
        "directory.customers has other columns",
    ),
    ("timeline", "TRUNCATE timeline.entries", "timeline.entries was emptied"),
    (
        "privacy",
        "CREATE FUNCTION pg_temp.quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER quiet BEFORE INSERT ON privacy.requests FOR EACH ROW "
        "EXECUTE FUNCTION pg_temp.quiet()",
        "privacy.requests has triggers, rules or policies",
    ),
)


@pytest.mark.timeout(300)
async def test_a_view_that_is_damaged_by_hand_is_found_named_and_rebuilt_without_anybodys_help(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        leads = await some_business(world, 3)
        release = release_of(world)
        async with running(release.projector.run):
            await world.settle()
            await release.keeper.look()
            for view, statement, words in BY_HAND:
                await by_hand(world, statement)
                assert (await release.keeper.look())[view] is Standing.DAMAGED
                damage = await ask(world, "SELECT view, damage FROM views.built WHERE damage IS NOT NULL")
                assert damage == [(view, words)]
                if view == "pipeline":
                    with pytest.raises(Unavailable):
                        await world.views.pipeline.lead(leads[0])
                # The others go on meanwhile.
                await some_business(world, 1)
                await world.settle()
                assert await release.keeper.settle() == [view]
            assert set((await release.keeper.look()).values()) == {Standing.LIVE}
            await some_business(world, 1)
            await world.settle()
        for view in release.keeper.standings.forms:
            assert (await release.keeper.rebuilder.rebuild(view)).equal
        print(f"\nrow 19: {len(BY_HAND)} ways to damage a view by hand: each found, named and rebuilt")


@pytest.mark.timeout(300)
async def test_a_projector_that_stumbles_over_a_dropped_table_has_it_rebuilt_at_once(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        release = release_of(world)
        release.keeper.seconds = 3600  # so that it is not the next look by itself
        async with running(release.projector.run, release.keeper.run):
            await world.settle()
            await by_hand(world, "DROP TABLE pipeline.leads")
            await some_business(world, 1)
            await shown_again(world, release)
        assert (await release.keeper.rebuilder.rebuild("pipeline")).equal


@pytest.mark.timeout(300)
async def test_damage_that_nobody_stumbles_over_is_found_within_ten_seconds(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        release = release_of(world)
        assert release.keeper.seconds <= 10
        release.keeper.seconds = 0.1
        async with running(release.projector.run):
            await world.settle()
        async with running(release.keeper.run):
            await by_hand(world, "DROP TABLE pipeline.leads")
            async with asyncio.timeout(60):
                while await ask(world, "SELECT to_regclass('pipeline.leads')") == [(None,)]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        assert (await release.keeper.rebuilder.rebuild("pipeline")).equal


async def shown_again(world: World, release: Release) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await world.settle()
            except (Unavailable, AssertionError):
                await asyncio.sleep(0.05)


async def by_hand(world: World, statement: str) -> None:
    assert world.pool is not None
    async with world.pool.connection() as connection:
        await connection.execute(statement.encode(), prepare=False)
