"""Row 6: the disk under PostgreSQL fills up, and is given room again."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from domain.values import CustomerKind, LawfulBasis
from infra.bootstrap import System
from infra.ending import ended
from infra.postgres.embedded import EmbeddedPostgres
from services.ports import Unavailable
from tests.e2e.importing import system_on
from tests.projections.worlds import at

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 5 if TORTURE else 1
DISK_MEGABYTES = 220
LEFT_BYTES = 3 * 2**20
CALLERS = 4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own. Only who may mount one can try this."""
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={DISK_MEGABYTES}m,mode=0755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system to fill up")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


class Callers:
    """Register customers without pause, and count what they are told."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.acknowledged: list[UUID] = []
        self.refused = 0
        self._told = asyncio.Condition()

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.gather(*(self._call(stop) for _ in range(CALLERS)))

    async def until_acknowledged(self, more: int) -> None:
        """Wait for so many further commands, two minutes at most."""
        number = len(self.acknowledged) + more
        await self._until(lambda: len(self.acknowledged) >= number)

    async def until_refused(self, more: int) -> None:
        """The same for refusals."""
        number = self.refused + more
        await self._until(lambda: self.refused >= number)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120), self._told:
            await self._told.wait_for(condition)

    async def _call(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            id = uuid7()
            try:
                await self.system.customers.register(
                    id=id, subject_id=uuid7(), kind=CustomerKind.PERSON, source="letter",
                    lawful_basis=LawfulBasis.CONTRACT, purpose="orders", name="Maya Brandt" * 200, email=None,
                    context=at(),
                )  # fmt: skip
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.05)
            else:
                self.acknowledged.append(id)
            async with self._told:
                self._told.notify_all()


@asynccontextmanager
async def calling(callers: Callers) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(callers.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


@pytest.mark.timeout(900 if TORTURE else 300)
async def test_writes_are_refused_and_nothing_that_was_acknowledged_is_lost(
    disk: Path, tmp_path: Path
) -> None:
    with EmbeddedPostgres(
        disk / "postgres", settings={"max_wal_size": "32MB", "min_wal_size": "32MB"}
    ) as server:
        watching = asyncio.create_task(server.watch())
        try:
            async with system_on(server.url, tmp_path) as system:
                callers = Callers(system)
                async with calling(callers):
                    for _ in range(ROUNDS):
                        await callers.until_acknowledged(50)
                        filler = filled(disk)
                        await callers.until_refused(10)
                        filler.unlink()
                        await callers.until_acknowledged(50)
            stored = counted(server.url)
        finally:
            await ended(watching)
    assert {stored[id] for id in callers.acknowledged} == {1}
    print(
        f"\nrow 6: the disk full {ROUNDS} times: {callers.refused} commands refused, "
        f"{len(callers.acknowledged)} acknowledged, all in the log once; went on by itself"
    )


def filled(disk: Path) -> Path:
    """A file that leaves the disk next to nothing."""
    filler = disk / "filler"
    room = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - LEFT_BYTES)
    return filler


def counted(url: str) -> Counter[UUID]:
    """How many first events each record has in the log."""
    with psycopg.connect(url) as connection:
        query = "SELECT originator_id FROM log.events WHERE topic = 'customer.registered'"
        return Counter(id for (id,) in connection.execute(query))
