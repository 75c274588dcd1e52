"""Row 18: a view is rebuilt under writes, and killed half-way, while somebody reads it all the time."""

import asyncio
import os
from typing import IO

import pytest

from projections.pipeline import LeadFilter
from tests.faults.test_row_17_projector_killed import process
from tests.projections.test_rebuild import ask, some_business
from tests.projections.worlds import World, postgres_world

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
KILLS = 10 if TORTURE else 1
LEADS = 400 if TORTURE else 40


@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_a_rebuild_that_is_killed_resumes_and_readers_never_see_an_empty_view(
    database_url: str,
) -> None:
    async with postgres_world(database_url) as world:
        await asyncio.gather(*(some_business(world, LEADS // 4) for _ in range(4)))
        await world.settle()
        stop, counts = asyncio.Event(), []

        async def read() -> None:
            while not stop.is_set():
                counts.append(sum(it.count for it in await world.views.pipeline.totals(LeadFilter())))
                await asyncio.sleep(0.001)

        async def write() -> None:
            while not stop.is_set():
                await some_business(world, 2)

        writers = [write] * (4 if TORTURE else 1)
        beside = [asyncio.create_task(it()) for it in (read, *writers)]
        try:
            reached = 0
            for _ in range(KILLS):
                reached = await killed_half_way(world, database_url, reached)
            first, outcome = await finished(world, database_url)
        finally:
            stop.set()
            await asyncio.gather(*beside)
        await world.settle()

        assert first > reached, "it went on where it was"
        assert outcome == "equal"
        assert min(counts) >= LEADS
        leads = await ask(world, "SELECT count(*) FROM log.events WHERE topic = 'lead.captured'")
        assert await ask(world, "SELECT count(*) FROM pipeline.leads") == leads
        assert await ask(world, "SELECT nspname FROM pg_namespace WHERE nspname ~ '_(next|old)$'") == []
        print(
            f"\nrow 18: {KILLS} kills, resumed at position {first}; {len(counts)} reads meanwhile saw "
            f"{min(counts)} to {max(counts)} leads, none an empty view"
        )


async def killed_half_way(world: World, url: str, after: int) -> int:
    """Where a rebuild had come when it was killed: further than the one before."""
    with process("rebuild", url, world.blind._key.secret.hex()) as rebuild:
        assert rebuild.stdout is not None
        for _ in range(2):
            reached = int(await line_of(rebuild.stdout))
            assert reached > after
    ((position,),) = await ask(world, "SELECT position FROM views.tracking WHERE source = 'next'")
    return int(position)


async def finished(world: World, url: str) -> tuple[int, str]:
    """Where a rebuild went on, and what it found in the end."""
    with process("rebuild", url, world.blind._key.secret.hex()) as rebuild:
        assert rebuild.stdout is not None
        first = last = await line_of(rebuild.stdout)
        while line := await line_of(rebuild.stdout):
            last = line
    return int(first), last


async def line_of(output: IO[str]) -> str:
    return (await asyncio.wait_for(asyncio.to_thread(output.readline), 60)).strip()
