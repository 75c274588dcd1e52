"""The parts of a deployment, started while their database is away."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.proxy import Proxy, proxy_before
from tests.running import Lethe

WAIT_SECONDS_MAX = 60


@pytest.mark.parametrize(
    ("part", "at_work"), [("api", "Lethe serves"), ("project", "projecting"), ("schedule", "schedule")]
)
async def test_a_part_waits_for_its_database_and_goes_to_work(
    database_url: str, tmp_path: Path, part: str, at_work: str
) -> None:
    async with proxy_before(database_url) as proxy:
        with Lethe(tmp_path, "migrate", database_url=proxy.url) as lethe:
            lethe.launch()
            assert lethe.process is not None
            assert await asyncio.to_thread(lethe.process.wait, WAIT_SECONDS_MAX) == 0, lethe.logged
            await _started_while_away(lethe, proxy, part)
            await proxy.start()
            await _said(lethe, at_work)
            code, _ = await asyncio.to_thread(lethe.stop)
            assert code == 0


async def test_a_part_that_waits_ends_when_it_is_told_to(database_url: str, tmp_path: Path) -> None:
    async with proxy_before(database_url) as proxy:
        with Lethe(tmp_path, "schedule", database_url=proxy.url) as lethe:
            await _started_while_away(lethe, proxy, "schedule")
            code, _ = await asyncio.to_thread(lethe.stop)
            assert code == 0
            assert lethe.logged == ""


async def _started_while_away(lethe: Lethe, proxy: Proxy, part: str) -> None:
    await proxy.stop()
    lethe.arguments = (part,)
    lethe.launch()
    await _said(lethe, "Lethe waits: the database cannot be reached")


async def _said(lethe: Lethe, words: str) -> None:
    assert lethe.process is not None
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while words not in lethe.said:
            assert lethe.process.poll() is None, lethe.logged
            await asyncio.sleep(0.05)
