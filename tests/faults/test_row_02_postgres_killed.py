"""Row 2: PostgreSQL's backends are killed, then its postmaster, while commands come in."""

import asyncio
import itertools
import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from infra.postgres.embedded import EmbeddedPostgres
from tests.faults.callers import Callers, assert_each_once, proper_retry
from tests.running import Lethe

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
BACKENDS = 20 if TORTURE else 2
POSTMASTERS = 10 if TORTURE else 1
COMMANDS_A_ROUND = 100
READERS = 4
RECOVERY_SECONDS_MAX = 30


@pytest.mark.timeout(1800 if TORTURE else 600)
async def test_the_api_outlives_postgresql_and_loses_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder, Lethe(Path(folder)) as lethe:
        await asyncio.to_thread(lethe.start)
        server = EmbeddedPostgres(Path(folder) / "data" / "postgres")
        callers, stop = Callers(lethe.url, lethe.headers), asyncio.Event()
        calling = asyncio.create_task(callers.run(stop))
        reading = asyncio.create_task(_read(lethe, stop))
        try:
            backends = [await _kill_and_recover(callers, _backend(server)) for _ in range(BACKENDS)]
            postmasters = [await _kill_and_recover(callers, _postmaster(server)) for _ in range(POSTMASTERS)]
        finally:
            stop.set()
            _, reads = await asyncio.gather(calling, reading)
        assert lethe.process is not None
        assert lethe.process.poll() is None, "it had to be started again"
        await _assert_read_whole(lethe, callers)
        events = assert_each_once(server.url, callers.acknowledged)
        assert lethe.stop()[0] == 0

    print(
        f"\nrow 2: {BACKENDS} backends and {POSTMASTERS} postmasters killed, {len(callers.acknowledged)} "
        f"acknowledged commands, all in the log once, {events} events; answers "
        f"{dict(sorted(callers.statuses.items()))}, slowest {callers.seconds_max:.1f} s, "
        f"to reads {dict(sorted(reads.items()))}; "
        f"commands again after {max(backends):.1f} s at most, after a postmaster {max(postmasters):.1f} s"
    )
    assert callers.statuses[503] > 0, "no command met the outage"
    assert reads.keys() == {200, 503}
    # The API lives: every request gets an answer.
    assert callers.uncertain == set()
    assert max(backends + postmasters) < RECOVERY_SECONDS_MAX


async def _kill_and_recover(callers: Callers, victim: psutil.Process) -> float:
    """Kill it in the middle of the load; the seconds until commands are acknowledged again."""
    await callers.acknowledge(COMMANDS_A_ROUND)
    victim.kill()
    # What was acknowledged just before its death may be answered after it.
    return await callers.acknowledge(callers.callers + 1)


READS = (
    "/v1/customers?limit=5",
    "/v1/customers?q=Caller",
    "/v1/leads?stage=won",
    "/v1/pipeline",
    "/v1/analytics/funnel",
    "/v1/events?limit=5",
    "/v1/members",
    "/v1/tokens",
    "/metrics",
)


async def _read(lethe: Lethe, stop: asyncio.Event) -> Counter[int]:
    """Read everything, several readers at once, until `stop` is set; the statuses of the answers."""
    statuses: Counter[int] = Counter()

    async def read(http: httpx.AsyncClient, first: int) -> None:
        for turn in itertools.count(first):
            path = READS[turn % len(READS)]
            response = await http.get(path)
            assert response.status_code == 200 or proper_retry(response), f"{path}: {response.text}"
            statuses[response.status_code] += 1
            if stop.is_set():
                return

    async with httpx.AsyncClient(base_url=lethe.url, headers=lethe.headers, timeout=30) as http:
        await asyncio.gather(*(read(http, first) for first in range(READERS)))
    return statuses


def _postmaster(server: EmbeddedPostgres) -> psutil.Process:
    pid = server.pid
    assert pid is not None
    return psutil.Process(pid)


def _backend(server: EmbeddedPostgres) -> psutil.Process:
    """One that serves a connection of ours."""
    ours = [it for it in _postmaster(server).children() if f" {server.database} " in " ".join(it.cmdline())]
    return random.Random(2).choice(ours)


async def _assert_read_whole(lethe: Lethe, callers: Callers) -> None:
    """Views and names have caught up by themselves: the last record is found in both."""
    last = max(callers.acknowledged.values(), key=lambda it: int(it["position"]))
    async with httpx.AsyncClient(base_url=lethe.url, headers=lethe.headers, timeout=30) as http:
        async with asyncio.timeout(60):
            while not (await http.get("/v1/leads", params={"at_least": last["position"]})).is_success:
                pass  # it has waited already
        made = {it["id"] for it in callers.acknowledged.values()}
        assert await _listed(http, "customers") | await _listed(http, "leads") >= made
        found = (await http.get("/v1/customers", params={"q": "Caller 0 0"})).json()["items"]
        assert any(it["name"] == "Caller 0 0" for it in found)
        assert (await http.get("/readyz")).status_code == 200


async def _listed(http: httpx.AsyncClient, kind: str) -> set[str]:
    ids: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        page = (
            await http.get(f"/v1/{kind}", params={"limit": 200} | ({"cursor": cursor} if cursor else {}))
        ).json()
        ids |= {it["id"] for it in page["items"]}
        cursor = page["next"]
    return ids
