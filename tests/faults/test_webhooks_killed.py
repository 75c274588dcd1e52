"""Those that send webhooks are killed again and again while events wait for two receivers."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest

from infra import json
from tests.streams import fill, logged, stored
from tests.webhooks.receiver import Receiver, receiving

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 50 if TORTURE else 4
EVENTS = 240 * ROUNDS if TORTURE else 390
REFUSED_UNTIL = EVENTS // 2
"""Later none is: whoever waits for it waits for five seconds."""
TAKEOVER_SECONDS_MAX = 30


def register(url: str, receiver: Receiver, number: int) -> None:
    """A webhook of everything from the beginning."""
    id = UUID(int=number)
    it = stored(0, id, 1, "webhook.registered")
    state = json.decode(it.state)
    state["data"] = {
        "url": f"http://127.0.0.1:{receiver.port}/",
        "types": ["lead", "customer", "ticket"],
        "after": 0,
    }
    state["sealed"] = []
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO log.events (originator_id, originator_version, topic, state) VALUES (%s, 1, %s, %s)",
            [id, it.topic, json.encode(state)],
        )


class Group:
    """Two members, of whom one is killed now and then and replaced."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.members = [self.start(), self.start()]

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "tests.faults.webhooks_process", self.url])

    def kill_one(self, chance: random.Random) -> None:
        it = self.members.pop(chance.randrange(len(self.members)))
        it.kill()
        it.wait()
        self.members.append(self.start())


@contextmanager
def group(url: str) -> Iterator[Group]:
    it = Group(url)
    try:
        yield it
    finally:
        for member in it.members:
            member.kill()
            member.wait()


@pytest.mark.timeout(1800 if TORTURE else 200)
async def test_senders_that_are_killed_leave_out_nothing_and_keep_each_record_in_order(
    database_url: str,
) -> None:
    chance = random.Random(7)
    stumbled: set[str] = set()

    def behave(event: dict[str, Any]) -> int:
        """Every tenth event is refused once: so that there are blocked records, too, when one is killed."""
        if event["position"] % 10 or event["position"] > REFUSED_UNTIL or event["id"] in stumbled:
            return 204
        stumbled.add(event["id"])
        return 503

    fill(database_url, EVENTS)
    log = logged(database_url)
    takeovers = []
    async with receiving(behave) as one, receiving() as two:
        receivers = (one, two)
        for number, receiver in enumerate(receivers, 1):
            register(database_url, receiver, number)

        async def each_has(*counts: int) -> None:
            await one.until(lambda: all(len(it.first) >= n for it, n in zip(receivers, counts, strict=True)))

        with group(database_url) as them:
            for round_ in range(1, ROUNDS + 1):
                await each_has(*[len(log) * round_ // (ROUNDS + 2)] * 2)
                await asyncio.sleep(chance.random() * 0.1)
                them.kill_one(chance)
                begun = time.monotonic()
                await each_has(*(min(len(it.first) + 1, len(log)) for it in receivers))
                takeovers.append(time.monotonic() - begun)
            await each_has(len(log), len(log))

    for receiver in receivers:
        assert sorted(receiver.positions) == [it.id for it in log]
        assert all(found == list(range(1, len(found) + 1)) for found in receiver.by_record().values())
    repeats = sum(len(it.accepted) - len(it.first) for it in receivers)
    print(
        f"\nwebhooks: {ROUNDS} kills, {len(log)} events to 2 receivers, 0 lost, 0 out of order, "
        f"{repeats} sent again; slowest takeover {max(takeovers):.1f} s"
    )
    assert max(takeovers) < TAKEOVER_SECONDS_MAX
    assert repeats <= ROUNDS * 2 * 128
