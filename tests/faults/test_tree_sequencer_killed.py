"""The sequencer is killed again and again while events are appended, and makes the tree of one pass."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from infra.audit.merkle import verify_consistency
from infra.audit.note import verify_checkpoint
from tests.audit.trees import append, grove, grown, plain_root, signed
from tests.streams import Writers, logged

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 200 if TORTURE else 2
BACKLOG = 3_000
LEAD_SECONDS_MAX = 30


@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_a_sequencer_that_is_killed_makes_the_tree_that_one_pass_makes(
    database_url: str, tmp_path: Path
) -> None:
    append(database_url, BACKLOG)
    writers, stop = Writers(database_url, writers=2, pause_seconds=0.002), asyncio.Event()
    writing = asyncio.create_task(writers.run(stop))
    chance = random.Random(24)
    started = 0
    try:
        with members(database_url, tmp_path) as start:
            one, other = start(), start()
            for _ in range(ROUNDS):
                before = size_of(database_url)
                await until_it_grows(database_url, before)
                await asyncio.sleep(chance.random() * 0.1)
                one.kill()
                one.wait()
                one, other, started = other, start(), started + 1
            stop.set()
            await writing
            log = logged(database_url)
            async with grove(database_url, tmp_path) as it:
                await grown(it, len(log))
                await signed(it, len(log))
                assert await it.tree.root() == plain_root(database_url)
                assert (await it.tree.state()).fault is None
                checkpoints = list(reversed(await it.checkpoints.below(10**9, 10_000)))
                for old, new in pairwise(checkpoints):
                    proof = await it.tree.consistency(old.size, new.size)
                    verify_consistency(old.size, new.size, old.root, new.root, proof.hashes)
                written = sorted((tmp_path / "log").glob("0*"))
                sizes = [verify_checkpoint(path.read_text(), it.signer.vkey).size for path in written]
                assert sizes == [one.size for one in checkpoints]
    finally:
        stop.set()
        await asyncio.gather(writing, return_exceptions=True)
    print(
        f"\nsequencer: {started} kills, {len(log)} leaves, the root of one pass; {len(sizes)} checkpoints,"
        " each the continuation of the last, all in the folder"
    )


@contextmanager
def members(*arguments: str | Path) -> "Iterator[Start]":
    start = Start([str(it) for it in arguments])
    try:
        yield start
    finally:
        for it in start.started:
            it.kill()
            it.wait()


class Start:
    """Starts sequencers, and remembers them."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.faults.sequencer_process", *self.arguments]
        self.started.append(subprocess.Popen(command))
        return self.started[-1]


def size_of(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT size FROM audit.trees WHERE log = 'log'").fetchone()
    return int(row[0]) if row else 0


async def until_it_grows(url: str, size: int) -> None:
    """Whoever leads now has added something."""
    until = time.monotonic() + LEAD_SECONDS_MAX
    while size_of(url) <= size:
        assert time.monotonic() < until, "nobody takes over"
        await asyncio.sleep(0.02)
