"""Verification: what is stored by `lethe verify`, and the bundle of it by the offline verifier."""

import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from infra.audit import verifier
from infra.audit.bundling import Range
from infra.audit.verification import Sources, verify
from infra.auditing import bundling_of
from infra.bootstrap import System, open_system
from infra.postgres.embedded import EmbeddedPostgres
from infra.settings import Settings
from infra.work import going_on, sequencing

EVENTS = int(os.environ.get("LETHE_BENCH_EVENTS", "1000000"))
EVENTS_A_RECORD = 8
SECONDS_GOAL = 15.0 * EVENTS / 1_000_000


def main() -> None:
    """Fill a log, sign its tree, verify both ways, and print the table."""
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
    ):
        asyncio.run(measure(postgres.url, Path(folder)))


async def measure(url: str, folder: Path) -> None:
    """The figures, each against its goal."""
    settings = Settings(data=folder / "data", database_url=SecretStr(url), checkpoint_seconds=0.5)
    stop = asyncio.Event()
    async with open_system(settings) as system:
        await asyncio.to_thread(fill, url)
        async with going_on(sequencing(system), stop):
            await signed(system)
            stop.set()
        begun = time.perf_counter()
        found = await verify(Sources.of(system))
        stored = time.perf_counter() - begun
        assert found.findings.total == 0, found.lines()
        begun = time.perf_counter()
        size = await write(system, folder / "bundle.zip")
        made = time.perf_counter() - begun
        vkey = system.signer.vkey
    begun = time.perf_counter()
    await asyncio.to_thread(offline, folder, vkey)
    alone = time.perf_counter() - begun
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    show(stored, made, size, alone, megabytes)


def fill(url: str) -> None:
    """Events of customers that take turns, some 700 bytes a leaf."""
    dice = random.Random(1)
    with psycopg.connect(url) as connection:
        statement = b"COPY log.events (originator_id, originator_version, topic, state) FROM STDIN"
        with connection.cursor().copy(statement) as copy:
            for start in range(0, EVENTS, EVENTS_A_RECORD * 1000):
                records = [uuid4() for _ in range(1000)]
                for version in range(1, EVENTS_A_RECORD + 1):
                    for record in records[: max(0, EVENTS - start - (version - 1) * 1000)]:
                        copy.write_row((record, version, "customer.renamed", state(dice, record)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE log.events")


def state(dice: random.Random, record: UUID) -> bytes:
    """An event as it is stored, with a box."""
    box, key = b64encode(dice.randbytes(90)).decode(), dice.randbytes(32).hex()
    return (
        f'{{"id":"{UUID(int=dice.getrandbits(128))}","recorded_at":"2026-03-01T10:00:00.123456Z",'
        f'"occurred_at":"2026-03-01T10:00:00.123456Z","actor":"{record}","correlation_id":"{record}",'
        f'"command_id":"{record}","version":1,"data":{{"subject_id":"{record}"}},"sealed":[{{"subject":'
        f'"{record}","category":"identity","key":"{key}","fields":["name"],"box":"{box}"}}]}}'
    ).encode()


async def signed(system: System) -> None:
    while await _signed(system) < EVENTS:  # noqa: ASYNC110 - nobody sends word
        await asyncio.sleep(0.1)


async def _signed(system: System) -> int:
    latest = await system.tree.checkpoints.latest()
    return 0 if latest is None else latest.size


async def write(system: System, path: Path) -> int:
    """Make the bundle; how many bytes."""
    size = 0
    with path.open("wb") as file:
        async for piece in await bundling_of(system).of_range(Range()):
            size += file.write(piece)
    return size


def offline(folder: Path, vkey: str) -> None:
    command = [sys.executable, "-I", "-S", verifier.__file__, str(folder / "bundle.zip"), "--vkey", vkey]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def show(stored: float, made: float, size: int, alone: float, megabytes: float) -> None:
    table = Table(title=f"Verification of {EVENTS:,} events ({os.cpu_count()} CPUs)")
    for column in ("what", "seconds", "events/s", "goal", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, seconds in [("lethe verify: log, trees, checkpoints", stored), ("the offline verifier", alone)]:
        verdict = "ok" if seconds < SECONDS_GOAL else "MISSED"
        table.add_row(what, f"{seconds:.2f}", f"{EVENTS / seconds:,.0f}", f"< {SECONDS_GOAL:g} s", verdict)
    table.add_row(f"making the bundle ({size / 1e6:,.0f} MB)", f"{made:.2f}", f"{EVENTS / made:,.0f}", "", "")
    Console().print(table)
    Console().print(f"the offline verifier's largest process: {megabytes:,.0f} MB")
