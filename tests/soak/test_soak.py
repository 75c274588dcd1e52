"""A soak: business goes on while everything that can fail fails; at the end, everything is compared."""

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from infra.ending import ended
from infra.kafka.broker import LocalBroker
from infra.postgres.embedded import EmbeddedPostgres
from tests.soak import comparing, faults
from tests.soak.faults import FAULTS, Fault
from tests.soak.load import People
from tests.soak.site import Site, site

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
FAULT_SECONDS_MAX = 240
SETTLE_SECONDS_MAX = 600
COMMANDS_BETWEEN = 10
SHORT = (
    faults.receiver_refuses,
    faults.commit_answer_lost,
    faults.mirror_killed,
    faults.relay_killed,
    faults.backend_killed,
    faults.projector_killed,
    faults.api_killed,
)


@pytest.mark.broker
@pytest.mark.timeout(300)
async def test_a_handful_of_faults_under_load_loses_doubles_and_disorders_nothing(
    postgres: EmbeddedPostgres, broker: LocalBroker
) -> None:
    name = f"soak_{uuid4().hex}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    chance = random.Random(SEED)
    order = [it for it in FAULTS if it.cause in SHORT]
    order.sort(key=lambda it: SHORT.index(it.cause))
    with tempfile.TemporaryDirectory() as folder:
        async with site(Path(folder), postgres.url_of(name), broker, members=1, over_kafka=False) as it:
            await soak(it, order, chance, callers=3, pause_seconds=0.1)
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.torture
@pytest.mark.broker
@pytest.mark.timeout(MINUTES * 60 * 2 + 1800)
async def test_a_soak_with_every_fault_at_random_loses_doubles_and_disorders_nothing() -> None:
    chance, ends = random.Random(SEED), time.monotonic() + MINUTES * 60
    with tempfile.TemporaryDirectory() as folder:
        async with machines(Path(folder)) as (server, broker):
            it: Site
            async with site(Path(folder), server.url, broker, members=2, over_kafka=True) as it:
                it.server = server
                await soak(it, at_random(chance, ends), chance, callers=8, pause_seconds=0.1)


def at_random(chance: random.Random, ends: float) -> Iterator[Fault]:
    """Every fault once, in an order of chance; and again, until the time is up."""
    while time.monotonic() < ends:
        for it in chance.sample(FAULTS, len(FAULTS)):
            if time.monotonic() > ends:
                return
            yield it


@asynccontextmanager
async def machines(folder: Path) -> AsyncIterator[tuple[EmbeddedPostgres, LocalBroker]]:
    """A PostgreSQL that is watched over, and a broker: of this soak alone, and ended with it."""
    broker = LocalBroker(folder / "broker")
    async with EmbeddedPostgres(folder / "postgres") as server:
        watch = asyncio.create_task(server.watch())
        try:
            await asyncio.to_thread(broker.start)
            yield server, broker
        finally:
            await asyncio.to_thread(broker.kill)
            await ended(watch)


async def soak(
    it: Site, order: Iterable[Fault], chance: random.Random, *, callers: int, pause_seconds: float
) -> None:
    """Business under these faults, one after the other; then all is healed, settled and compared."""
    people = People(it.api.url, it.api.headers, seed=SEED, callers=callers, pause_seconds=pause_seconds)
    stop, caused, begun = asyncio.Event(), Counter[Fault](), time.monotonic()
    calling = asyncio.create_task(people.run(stop))
    try:
        await people.acknowledge(COMMANDS_BETWEEN * callers)
        for fault in order:
            await cause(it, fault, chance)
            caused[fault] += 1
            await people.acknowledge(chance.randint(1, COMMANDS_BETWEEN) * callers)
            it.assert_alive()
    finally:
        stop.set()
        await asyncio.gather(calling, return_exceptions=True)
    await calling
    minutes = (time.monotonic() - begun) / 60
    await settle(it)
    print(f"\nsoak: {minutes:.1f} minutes, seed {SEED}, {caused.total()} faults:")
    for fault, times in sorted(caused.items(), key=lambda item: FAULTS.index(item[0])):
        print(f"  {times:4} x {fault.name} ({fault.row})")
    await compare(it, people)


async def cause(it: Site, fault: Fault, chance: random.Random) -> None:
    try:
        async with asyncio.timeout(FAULT_SECONDS_MAX):
            await fault.cause(it, chance)
    except BaseException:
        print(f"\nsoak, seed {SEED}: while this was caused: {fault.name}")
        raise


async def settle(it: Site) -> None:
    """What was begun is finished, and everybody has come to the end of the log."""
    if it.begun("keys"):
        code, document = await it.lethe("keys", "rotate")
        assert code == 0, document
    await it.until(
        lambda: comparing.behind(it) or True, "everybody at the end of the log", SETTLE_SECONDS_MAX
    )
    it.assert_alive()


async def compare(it: Site, people: People) -> None:
    """A line for each comparison. What differs is named by ids."""
    print(comparing.compare_log(it, people))
    print(comparing.compare_topics(it))
    print(comparing.compare_webhooks(it))
    print(comparing.compare_states(it, people))
    print(await comparing.compare_mirrors(it, people))
    print(*await asyncio.gather(comparing.compare_views(it), comparing.compare_proofs(it)), sep="\n")
