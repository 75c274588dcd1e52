"""Row 11: a second relay starts; the first dies."""

import os
import time
from uuid import uuid4

import pytest

from infra.kafka.broker import LocalBroker
from tests.faults.fleet import assert_one_at_a_time, epochs, fleet_of
from tests.streams import appending, assert_whole, published

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 20 if TORTURE else 1
STANDBYS = 2 if TORTURE else 1
TAKEOVER_SECONDS_MAX = 10


@pytest.mark.broker
@pytest.mark.timeout(900 if TORTURE else 200)
async def test_of_several_relays_one_publishes_and_when_it_dies_another_takes_over(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row11-{uuid4().hex}"
    takeovers = []
    async with appending(database_url) as ended:
        with fleet_of(database_url, broker.address, namespace) as fleet:
            fleet.start()
            await fleet.reach(1)
            for number in range(ROUNDS):
                while len(fleet.members) <= STANDBYS:
                    fleet.start()
                await fleet.connected(1 + STANDBYS)
                # The standbys do stand by: everything that comes meanwhile is one relay's.
                await fleet.reach(fleet.position() + 100)
                assert assert_one_at_a_time(epochs(broker, namespace)) == 1 + number
                before = fleet.position()
                # Which of the standbys it will be is open: so is which one dies next.
                leader = fleet.members.pop(fleet.leader())
                leader.kill()
                begun = time.monotonic()
                leader.wait()
                await fleet.reach(before + 1)
                takeovers.append(time.monotonic() - begun)
            log = await ended()
            await fleet.reach(log[-1].id)

    repeats = assert_whole(published(broker.address, namespace), log)
    assert assert_one_at_a_time(epochs(broker, namespace)) == 1 + ROUNDS
    print(
        f"\nrow 11: {ROUNDS} of {1 + ROUNDS} publishing relays killed, one at a time; slowest takeover "
        f"{max(takeovers):.1f} s; {len(log)} events, 0 lost, 0 out of order, {repeats} delivered again"
    )
    assert max(takeovers) < TAKEOVER_SECONDS_MAX
