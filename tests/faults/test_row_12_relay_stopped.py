"""Row 12: the relay that publishes is stopped for so long that another takes over, then goes on."""

import asyncio
import os
import random
import signal
import time
from uuid import uuid4

import pytest

from infra.kafka.broker import LocalBroker
from tests.faults.fleet import Fleet, Process, assert_one_at_a_time, epochs, fleet_of
from tests.streams import appending, assert_whole, fill, logged, published

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 20 if TORTURE else 2
SILENT_SECONDS = 4.0 if TORTURE else 1.5
BACKLOG = 1_000
CHUNK = "20"  # so small that one is sent whole, in one go
TAKEOVER_SECONDS_MAX = 10


@pytest.mark.broker
@pytest.mark.timeout(900 if TORTURE else 200)
async def test_a_relay_that_was_stopped_publishes_nothing_more_when_it_goes_on(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row12-{uuid4().hex}"
    fill(database_url, BACKLOG)
    chance = random.Random(12)
    async with appending(database_url, writers=1, pause_seconds=0.1) as ended:
        with fleet_of(database_url, broker.address, namespace, f"{SILENT_SECONDS}", CHUNK) as fleet:
            active, standby = fleet.start(), fleet.start()
            await fleet.connected(2)
            await fleet.reach(1)
            if fleet.members[fleet.leader()] is not active:
                active, standby = standby, active
            takeovers = []
            for number in range(ROUNDS):
                worst = number % 2 == 0
                takeovers.append(
                    await stop_until_the_other_has_taken_over(fleet, active, chance, worst=worst)
                )
                # What the stopped one had in hand has gone out by now, from the other.
                await fleet.reach(logged(database_url)[-1].id)
                active.send_signal(signal.SIGCONT)
                await fleet.connected(2)  # it has noticed, and stands by
                active, standby = standby, active
            log = await ended()
            await fleet.reach(log[-1].id)

    repeats = assert_whole(published(broker.address, namespace), log)
    assert assert_one_at_a_time(epochs(broker, namespace)) == 1 + ROUNDS
    print(
        f"\nrow 12: {ROUNDS} times the relay stopped, {(ROUNDS + 1) // 2} of them between making sure and "
        f"sending, and gone on with; slowest takeover {max(takeovers):.1f} s with {SILENT_SECONDS} s silent; "
        f"{len(log)} events, 0 lost, 0 out of order, {repeats} delivered again"
    )
    assert repeats == 0
    assert max(takeovers) < TAKEOVER_SECONDS_MAX


async def stop_until_the_other_has_taken_over(
    fleet: Fleet, active: Process, chance: random.Random, *, worst: bool
) -> float:
    """The seconds until the other has published something."""
    if worst:
        await fleet.stop_at_the_worst_moment(active)
    else:
        await asyncio.sleep(chance.random() * 0.2)
        active.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    await fleet.connected(1)
    await fleet.reach(fleet.position() + 1)
    return time.monotonic() - begun
