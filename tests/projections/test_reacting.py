"""Reactions: one that stumbles over a record's event parks that record, and the others' go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from infra.deadletters import Retried
from infra.eventstore.reader import FencedReader
from infra.postgres.views.letterbox import PostgresLetters
from infra.reacting import ReactionRunner
from services.ports import Recorded, Unavailable
from tests.projections.test_rebuild import ask, some_business
from tests.projections.worlds import World, at, dead_letters, postgres_world


class Noting:
    """A reaction that notes what it met, and stumbles where it is told to."""

    causes = frozenset({"lead.won", "lead.assigned"})

    def __init__(self) -> None:
        self.met: list[tuple[UUID, int]] = []
        self.fault: Exception | None = None
        self.stumbles_at: UUID | None = None

    async def on(self, recorded: Recorded) -> None:
        if recorded.originator_id == self.stumbles_at and self.fault is not None:
            raise self.fault
        self.met.append((recorded.originator_id, recorded.originator_version))


@asynccontextmanager
async def reacting(world: World, runner: ReactionRunner) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def reader_of(world: World) -> FencedReader:
    assert isinstance(world.reader, FencedReader)
    return world.reader


async def until_it_came(world: World) -> None:
    last = (await ask(world, "SELECT max(position) FROM log.events"))[0]
    async with asyncio.timeout(30):
        while await ask(world, "SELECT position FROM log.followers WHERE name = 'reactions'") != [last]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_reaction_that_stumbles_parks_the_record_and_does_it_in_order_after_the_fix(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        leads = await some_business(world, 3)
        reaction, reader = Noting(), reader_of(world)
        reaction.stumbles_at, reaction.fault = leads[0], ValueError("a text that may quote data")
        assert world.pool is not None
        runner = ReactionRunner(world.pool, reader, world.mapper, reaction)
        async with reacting(world, runner):
            await world.leads.assign(id=leads[0], owner_id=uuid7(), context=at(9))
            await world.leads.assign(id=leads[1], owner_id=uuid7(), context=at(9))
            await until_it_came(world)
            assert {id for id, _ in reaction.met} == {leads[1], leads[2]}
            assert len(reaction.met) == 3
            letters = dead_letters(world)
            letters.followers = {runner.name: runner}
            (letter,) = await letters.letters()
            assert (letter.view, letter.record_id, letter.version) == ("reactions", leads[0], 2)
            assert await letters.retry() == Retried(1, 0)

            reaction.fault = None
            assert await letters.retry() == Retried(1, 1)
            assert [version for id, version in reaction.met if id == leads[0]] == [2, 3]
            await world.leads.assign(id=leads[0], owner_id=uuid7(), context=at(10))
            await until_it_came(world)
            assert reaction.met[-1] == (leads[0], 4)


async def test_a_reaction_goes_on_without_an_event_that_is_skipped_and_an_outage_parks_nothing(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        (lead,) = await some_business(world, 1)
        await world.leads.assign(id=lead, owner_id=uuid7(), context=at(9))
        reaction = Noting()
        reaction.stumbles_at, reaction.fault = lead, Unavailable("not just now")
        assert world.pool is not None
        runner = ReactionRunner(world.pool, reader_of(world), world.mapper, reaction)
        with pytest.raises(Unavailable):
            await runner.run(asyncio.Event())
        assert await PostgresLetters(world.pool).counts() == {}

        reaction.fault = ValueError("a fault")
        letters = dead_letters(world)
        letters.followers = {runner.name: runner}
        async with reacting(world, runner):
            await until_it_came(world)
            skipped = letters.skip(
                view="reactions", record_id=lead, version=2, actor="somebody", reason="CHG-1"
            )
            assert await skipped == Retried(1, 0), "the next one stumbles, too"
            (letter,) = await letters.letters()
            assert letter.version == 3
