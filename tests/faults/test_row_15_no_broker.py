"""Row 15: there is no broker for a while."""

import asyncio
import os
import time
from uuid import uuid4

import pytest

from infra.eventstore.reader import FencedReader
from infra.kafka.broker import LocalBroker
from infra.kafka.relay import Relay
from infra.postgres.database import open_pool
from infra.postgres.relay_lease import PostgresRelayLease
from tests.streams import Writers, assert_whole, logged, published

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
AWAY_SECONDS = 120 if TORTURE else 3


@pytest.mark.broker
@pytest.mark.timeout(900 if TORTURE else 300)
async def test_without_a_broker_commands_go_on_and_the_relay_catches_up_by_itself(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row15-{uuid4().hex}"
    pool = await open_pool(database_url, size=2)
    # A batch fails after 3 s here, so that the relay gives up and starts anew while the broker is away.
    relay = Relay(
        FencedReader(pool),
        broker.address,
        namespace,
        PostgresRelayLease(database_url),
        delivery_seconds_max=3,
    )
    writers, stop, written = (
        Writers(database_url, writers=2, pause_seconds=0.05),
        asyncio.Event(),
        asyncio.Event(),
    )
    relaying, writing = asyncio.create_task(relay.run(stop)), asyncio.create_task(writers.run(written))
    try:
        await reach(relay, 500)
        broker.stop()
        before = writers.appended
        await asyncio.sleep(AWAY_SECONDS)
        meanwhile, behind = writers.appended - before, await relay.positions_behind()
        broker.start()
        begun = time.monotonic()
        written.set()
        await writing
        log = logged(database_url)
        await reach(relay, log[-1].id)
        seconds, left = time.monotonic() - begun, await relay.positions_behind()
    finally:
        if broker.pid is None:
            broker.start()
        stop.set()
        written.set()
        await asyncio.gather(relaying, writing)
        await pool.close()

    repeats = assert_whole(published(broker.address, namespace), log)
    print(
        f"\nrow 15: no broker for {AWAY_SECONDS} s; {meanwhile} events appended meanwhile, "
        f"{behind} positions behind; caught up {seconds:.1f} s after its return; "
        f"{len(log)} events, 0 lost, {repeats} delivered again"
    )
    assert meanwhile > 0
    assert behind >= meanwhile
    assert left == 0


async def reach(relay: Relay, position: int) -> None:
    async with asyncio.timeout(120):
        while relay.acknowledged < position:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.05)
