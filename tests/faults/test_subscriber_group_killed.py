"""Two members of a group, on Kafka and one PostgreSQL: one or the other is killed, again and again."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import groupby
from uuid import uuid4

import psycopg
import pytest

from infra.kafka.broker import LocalBroker
from infra.kafka.publisher import Publisher
from tests.streams import stored_events

ROUNDS = 20
CHUNK = 400
RECORDS = 40


@pytest.mark.torture
@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_a_group_whose_members_are_killed_does_everything_once_and_in_order(
    broker: LocalBroker, database_url: str
) -> None:
    namespace = f"killed-{uuid4().hex}"
    chance = random.Random(13)
    log = stored_events(CHUNK * (ROUNDS + 1), records=RECORDS, kinds=["lead.qualified"])
    publisher = Publisher(broker.address, namespace)
    publisher.send(publisher.prepare(log[:CHUNK]))
    members = [member(broker.address, namespace, database_url) for _ in range(2)]
    try:
        for round_ in range(1, ROUNDS + 1):
            until(lambda: seen(database_url) > 0)
            publisher.send(publisher.prepare(log[CHUNK * round_ : CHUNK * (round_ + 1)]))
            time.sleep(chance.random())
            victim = chance.randrange(2)
            members[victim].kill()
            members[victim].wait()
            members[victim] = member(broker.address, namespace, database_url)
        until(lambda: seen(database_url) == len(log))
        assert all(it.poll() is None for it in members)
    finally:
        publisher.close()
        for it in members:
            it.kill()
            it.wait()
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT aggregate_id, version FROM seen ORDER BY aggregate_id, turn"
        ).fetchall()
        letters = connection.execute("SELECT count(*) FROM lethe_dead_letters").fetchone()
    for _, versions in groupby(rows, key=lambda row: str(row[0])):
        assert [version for _, version in versions] == list(range(1, len(log) // RECORDS + 1))
    assert letters == (0,)
    print(f"\na group of two: {ROUNDS} kills, {len(log)} events, 0 lost, 0 doubled, 0 out of order")


def member(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.faults.group_member", *arguments])


def seen(url: str) -> int:
    with psycopg.connect(url) as connection:
        try:
            row = connection.execute("SELECT count(*) FROM seen").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    return int(row[0]) if row else 0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
