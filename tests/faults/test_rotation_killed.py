"""Rotating the key-encryption key, killed anywhere: nothing is lost, the dead stay dead, it converges."""

import asyncio
import multiprocessing
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.model import Category, Erased, Sealed
from domain.values import ErasureGround
from infra.kek import FileKekPlace, KekUnusable, data_key_place
from infra.keysreport import look_at_keys
from infra.postgres.database import open_pool
from infra.postgres.embedded import PROGRAMS, EmbeddedPostgres
from infra.postgres.epochstore import RotationRunning
from infra.postgres.keystore import open_key_ring
from infra.rotation import Rotation
from tests.faults import dying_rotator
from tests.faults.dying_rotator import BATCH_KEYS, NEVER, POINTS
from tests.faults.sealed_log import NAMESPACE, SealedLog, command, sealed_log

# Each rotator is a process of its own, forked from one that has imported everything and done nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([dying_rotator.__name__])
PEOPLE = 2 * BATCH_KEYS + 5


@dataclass
class Town:
    """People with a sealed name each, and what has become of them."""

    url: str
    kek_file: Path
    names: dict[UUID, Sealed] = field(default_factory=dict)
    erasures: dict[UUID, UUID] = field(default_factory=dict)

    @asynccontextmanager
    async def log(self) -> AsyncIterator[SealedLog]:
        """As a process that starts now has it."""
        async with sealed_log(self.url, keks=FileKekPlace(self.kek_file)) as log:
            yield log

    async def settle(self, log: SealedLog, number: int = 1) -> None:
        for _ in range(number):
            subject_id = uuid4()
            [event] = (await log.application.store.load(await log.register(subject_id))).events
            self.names[subject_id] = event.name  # type: ignore[attr-defined]

    async def erase(self, log: SealedLog, subject_id: UUID) -> None:
        self.erasures[subject_id] = uuid4()
        await log.erasures.erase(
            id=self.erasures[subject_id],
            erased_subject_id=subject_id,
            ground=ErasureGround.CONSENT_WITHDRAWN,
            context=command(),
        )

    def living(self) -> list[UUID]:
        return [subject_id for subject_id in self.names if subject_id not in self.erasures]

    async def check(self, log: SealedLog) -> None:
        """Everybody living is read, nobody erased."""
        opened = await log.unsealer.open(list(self.names.values()))
        for subject_id, name in self.names.items():
            expected = Erased(Category.IDENTITY) if subject_id in self.erasures else "Ann"
            assert opened[name] == expected

    async def check_turned(self, log: SealedLog) -> int:
        """One KEK, one epoch with keys, no remains; the erasures from before it are sealed. How many are."""
        place = FileKekPlace(self.kek_file)
        report = await look_at_keys(log.pool, place)
        assert report.odd == {}
        assert [it.state for it in report.epochs[:-1]] == ["sealed"] * (len(report.epochs) - 1)
        assert [it.active + it.system for it in report.epochs[:-1]] == [0] * (len(report.epochs) - 1)
        assert list(await place.all()) == [report.epochs[-1].kek_id]
        assert files_beside(self.kek_file) == [self.kek_file.name]
        rows = await log.rows("SELECT originator_id FROM log.events WHERE topic = 'erasure.sealed'")
        assert len(rows) == len(set(rows)), "sealed twice"
        unsealed = await log.ring.unsealed(list(self.erasures))
        assert not {subject_id for subject_id, _ in unsealed} & {
            subject_id for subject_id, id in self.erasures.items() if (id,) in rows
        }, "sealed though an older copy could still be opened"
        return len(rows)

    def rotate(self, point: str = NEVER) -> int:
        """In a process of its own; its exit status."""
        process = self.rotator(point)
        process.join(60)
        assert process.exitcode is not None, "it neither died nor ended"
        return process.exitcode

    def rotator(self, point: str = NEVER) -> multiprocessing.process.BaseProcess:
        process = PROCESSES.Process(target=dying_rotator.run, args=(self.url, self.kek_file, point))
        process.start()
        return process


def files_beside(path: Path) -> list[str]:
    return [it.name for it in path.parent.iterdir()]


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Town:
    (tmp_path / "keks").mkdir()
    return Town(database_url, tmp_path / "keks" / "kek")


@pytest.mark.parametrize("point", POINTS, ids=[it.replace(" ", "-") for it in POINTS])
async def test_a_rotation_that_dies_anywhere_loses_nothing_and_is_finished(town: Town, point: str) -> None:
    async with town.log() as log:
        await log.ring.system_key("blind-index")
        await town.settle(log, PEOPLE)
        await town.erase(log, town.living()[0])

        assert await asyncio.to_thread(town.rotate, point) == -signal.SIGKILL

        # Whoever has run all the time, and whoever starts now, reads, writes and erases.
        async with town.log() as fresh:
            for it in (log, fresh):
                await town.check(it)
                await town.settle(it)
                await town.erase(it, town.living()[0])
                await it.ring.system_key("blind-index")

        assert await asyncio.to_thread(town.rotate) == 0
        await town.check(log)
        sealed = await town.check_turned(log)
        assert sealed >= 1
        print(f"rotation killed {point}: {len(town.living())} read, {sealed} of {len(town.erasures)} sealed")


@pytest.mark.parametrize(
    "kills", [6, pytest.param(100, marks=[pytest.mark.torture, pytest.mark.timeout(1800)])]
)
async def test_rotations_killed_at_random_under_writes_and_erasures_converge(town: Town, kills: int) -> None:
    stop = asyncio.Event()
    async with town.log() as log, town.log() as other:
        await town.settle(log, PEOPLE)

        async def live(log: SealedLog) -> None:
            while not stop.is_set():
                await town.settle(log, 3)
                await town.erase(log, random.choice(town.living()))

        life = [asyncio.create_task(live(it)) for it in (log, other)]
        killed = rounds = 0
        while killed < kills:
            rounds += 1
            assert rounds < 20 * kills, "they are done before they can be killed"
            rotator = town.rotator()
            await asyncio.to_thread(rotator.join, random.uniform(0.02, 0.4))
            rotator.kill()
            await asyncio.to_thread(rotator.join, 60)
            killed += rotator.exitcode == -signal.SIGKILL
        stop.set()
        await asyncio.gather(*life)

        await finish(town, log)
        for it in (log, other):
            await town.check(it)
        sealed = await town.check_turned(log)
        assert sealed == len(town.erasures), "a whole rotation later everything erased before it is sealed"
        [(epochs,)] = await log.rows("SELECT count(*) FROM keys.epochs")
        print(
            f"rotations: {killed} of {rounds} killed, {epochs} epochs; {len(town.living())} read,"
            f" {len(town.erasures)} erased and sealed"
        )
        assert epochs >= 2


async def finish(town: Town, log: SealedLog) -> None:
    """What was interrupted, and then a rotation from beginning to end."""
    rotation = Rotation(town.url, FileKekPlace(town.kek_file), log.erasures, NAMESPACE)
    while True:
        try:
            if not (await rotation.run()).resumed:
                return
        except RotationRunning:  # PostgreSQL has not noticed yet that the last one is dead
            await asyncio.sleep(0.1)


async def test_an_old_copy_of_the_key_store_opens_nothing_of_the_erased(
    town: Town, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with town.log() as log:
        await town.settle(log, 20)
        subject_id = town.living()[0]
        dumped = tmp_path / "keys.dump"
        dump(town.url, dumped)
        await town.erase(log, subject_id)
        kek_before = town.kek_file.read_text()

        assert await opened_from(postgres, dumped, town.kek_file) == 20, "before the rotation a copy opens"
        assert town.rotate() == 0

    with pytest.raises(KekUnusable, match="wrapped under"):
        await open_restored(postgres, dumped, town.kek_file)
    assert await opened_from(postgres, dumped, town.kek_file) == 0
    stolen = tmp_path / "stolen"
    stolen.write_text(kek_before)
    stolen.chmod(0o600)
    assert await opened_from(postgres, dumped, stolen) == 20, "who has kept the old KEK still opens it"
    print("rotation: of 20 keys in a dump from before it, 0 open under the KEK that is there")


def program(name: str, *arguments: str | Path) -> None:
    """Run one of PostgreSQL's own programs."""
    subprocess.run([str(PROGRAMS / name), *map(str, arguments)], check=True, timeout=60)


def dump(url: str, path: Path) -> None:
    program("pg_dump", "--format=custom", "--schema=keys", f"--file={path}", url)


@asynccontextmanager
async def restored(postgres: EmbeddedPostgres, dumped: Path) -> AsyncIterator[str]:
    """A database of its own with the dumped key store in it, beside an empty log."""
    name = f"restored_{uuid4().hex}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        url = postgres.url_of(name)
        program("pg_restore", "--exit-on-error", f"--dbname={url}", dumped)
        with psycopg.connect(url, autocommit=True) as there:
            there.execute("CREATE SCHEMA log")
            there.execute("CREATE TABLE log.events (position bigint, state bytea)")
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def open_restored(postgres: EmbeddedPostgres, dumped: Path, kek_file: Path) -> None:
    async with restored(postgres, dumped) as url:
        pool = await open_pool(url, size=2)
        try:
            await open_key_ring(pool, kek_reference=f"file:{kek_file}", namespace=NAMESPACE)
        finally:
            await pool.close()


async def opened_from(postgres: EmbeddedPostgres, dumped: Path, kek_file: Path) -> int:
    """How many of the dumped keys open under any of the KEKs in the file, asked by hand."""
    async with restored(postgres, dumped) as url:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT subject_id, category, encode(fingerprint, 'hex'), wrapped FROM keys.data_keys"
            ).fetchall()
    places = [data_key_place(NAMESPACE, it[0], Category(it[1]), it[2]) for it in rows]
    opened: set[int] = set()
    for kek in (await FileKekPlace(kek_file).all()).values():
        secrets = await kek.unwrap([it[3] for it in rows], places)
        opened |= {number for number, secret in enumerate(secrets) if secret is not None}
    return len(opened)
