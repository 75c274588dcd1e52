"""Row 1: the API is killed again and again while commands come in."""

import asyncio
import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.faults.callers import Callers, assert_each_once
from tests.running import Lethe

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 20 if TORTURE else 2
COMMANDS_A_ROUND = 200


@pytest.mark.timeout(1800 if TORTURE else 600)
async def test_what_the_api_acknowledged_outlives_its_death_and_nothing_is_applied_twice(
    database_url: str,
) -> None:
    chance = random.Random(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        Lethe(Path(folder), database_url=database_url) as lethe,
    ):
        restarts = [await asyncio.to_thread(lethe.start)]
        callers, stop = Callers(lethe.url, lethe.headers), asyncio.Event()
        calling = asyncio.create_task(callers.run(stop))
        try:
            for _ in range(ROUNDS):
                await callers.acknowledge(COMMANDS_A_ROUND)
                await asyncio.sleep(chance.random() * 0.1)
                await asyncio.to_thread(lethe.kill)
                restarts.append(await asyncio.to_thread(lethe.start))
            await callers.acknowledge()
        finally:
            stop.set()
            await calling
        assert lethe.stop()[0] == 0

    events = assert_each_once(database_url, callers.acknowledged)
    print(
        f"\nrow 1: {ROUNDS} kills, {len(callers.acknowledged)} acknowledged commands, all in the log once, "
        f"{events} events; {len(callers.uncertain)} unanswered, repeated, applied once; "
        f"slowest start {max(restarts):.1f} s"
    )
    assert callers.uncertain, "no request was under way when the API died"
    assert callers.uncertain <= callers.acknowledged.keys()
