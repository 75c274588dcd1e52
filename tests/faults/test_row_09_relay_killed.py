"""Row 9: the relay is killed again and again while events are appended."""

import asyncio
import os
import random
import time
from uuid import uuid4

import pytest

from infra.kafka.broker import LocalBroker
from tests.faults.fleet import Fleet, assert_one_at_a_time, epochs, fleet_of
from tests.streams import appending, assert_whole, fill, published

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 200 if TORTURE else 2
BACKLOG = 1_500 * ROUNDS
TAKEOVER_SECONDS_MAX = 10


@pytest.mark.broker
@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_a_relay_that_is_killed_leaves_no_hole_and_no_disorder(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row9-{uuid4().hex}"
    fill(database_url, BACKLOG)
    chance = random.Random(9)
    async with appending(database_url) as ended:
        with fleet_of(database_url, broker.address, namespace) as fleet:
            fleet.start()
            takeovers = [await kill_and_wait_for_the_next(fleet, chance) for _ in range(ROUNDS)]
            log = await ended()
            await fleet.reach(log[-1].id)

    repeats = assert_whole(published(broker.address, namespace), log)
    assert_one_at_a_time(epochs(broker, namespace))
    print(
        f"\nrow 9: {ROUNDS} kills, {len(log)} events, 0 lost, 0 out of order, {repeats} delivered again; "
        f"slowest takeover {max(takeovers):.1f} s"
    )
    assert max(takeovers) < TAKEOVER_SECONDS_MAX
    # At most the batches that were in flight: all else is found on the topics.
    assert repeats <= ROUNDS * 100


async def kill_and_wait_for_the_next(fleet: Fleet, chance: random.Random) -> float:
    """Kill the one that publishes, in the middle of it; the seconds until the next one has taken over."""
    fleet.start()
    await fleet.connected(2)
    await fleet.reach(fleet.position() + 1)
    await asyncio.sleep(chance.random() * 0.2)
    before = fleet.position()
    fleet.members[0].kill()
    begun = time.monotonic()
    fleet.members.pop(0).wait()
    await fleet.reach(before + 1)
    return time.monotonic() - begun
