"""The backups of one system: made, verified, deleted, and each time said so in the log."""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

from pyrage.x25519 import Recipient
from uuid_utils.compat import uuid7

from infra.backup.archive import digest_of
from infra.backup.checking import Checked
from infra.backup.known import known_backups
from infra.backup.making import Made, Progress, make_backup
from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.epochs import all_epochs
from infra.scheduling import Job
from services.backups import Backups, KnownBackup, expired
from services.ports import Clock, CommandContext

ACTOR = "lethe-backup"
FRESH = timedelta(days=1)
LOOK_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where backups are kept account of. The files may be anywhere; the log knows their names and sums."""

    url: str
    pool: Pool
    mapper: EventMapper
    backups: Backups
    clock: Clock
    namespace: str

    async def make(
        self, to: Path, recipients: Sequence[Recipient], progress: Progress = lambda done, total: None
    ) -> Made:
        """Make one, and record it once it is whole on disk. Raises `BackupUnfit` or `FileExistsError`."""
        id, now = uuid7(), self.clock.now()
        made = await asyncio.to_thread(
            make_backup, self.url, to, recipients, id=id, namespace=self.namespace, now=now, progress=progress
        )
        await self.backups.make(
            id=id,
            context=self._context(id, "make"),
            file=made.path.name,
            size_bytes=made.size_bytes,
            sha256=made.sha256,
            snapshot_position=made.header.position,
            epoch=made.header.epoch,
        )
        return made

    async def known(self) -> Sequence[KnownBackup]:
        """All that were ever made, oldest first."""
        return await known_backups(self.pool, self.mapper)

    async def ended_epochs(self) -> Set[int]:
        """The epochs whose KEK is destroyed: nothing in a backup of theirs opens any more."""
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return {it.number for it in await all_epochs(connection) if it.ended_at is not None}

    async def is_fresh(self, now: datetime) -> bool:
        """Whether there is one of the last day that the present key-encryption key opens."""
        present = await self._present_epoch()
        return any(
            it.epoch == present and it.deleted_at is None and it.made_at > now - FRESH
            for it in await self.known()
        )

    async def _present_epoch(self) -> int:
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                return max(it.number for it in await all_epochs(connection))

    async def recognise(self, path: Path) -> KnownBackup | None:
        """Which backup the file is, by its sum, whatever its name; None where the log knows none."""
        _, digest = await asyncio.to_thread(digest_of, path)
        return next((it for it in await self.known() if it.sha256 == digest), None)

    async def verified(self, backup: KnownBackup, checked: Checked) -> None:
        """Record that it was restored, and was whole."""
        await self.backups.verify(
            id=backup.id,
            context=self._context(uuid7(), "verify"),
            events=checked.header.events,
            boxes_opened=checked.boxes_opened,
        )

    async def expired(
        self, folder: Path, keep_days: int, now: datetime
    ) -> Sequence[tuple[KnownBackup, Path]]:
        """Those in the folder that are kept no longer. The newest is never one of them."""
        found = expired(await self.known(), keep=timedelta(days=keep_days), now=now)
        return [(it, folder / it.file) for it in found if (folder / it.file).is_file()]

    async def delete(self, backup: KnownBackup, path: Path) -> None:
        """Delete the file and what is beside it, and record it."""
        await asyncio.to_thread(_unlink, path)
        await self.backups.delete(id=backup.id, context=self._context(backup.id, "delete"))

    def _context(self, id: UUID, step: str) -> CommandContext:
        command_id = uuid5(id, step)
        return CommandContext(
            command_id=command_id,
            request_digest=id.bytes,
            actor=ACTOR,
            occurred_at=self.clock.now(),
            correlation_id=command_id,
        )


def backing_up(shelf: Shelf, folder: Path, recipients: Sequence[Recipient]) -> Job:
    """Make a backup each day, and one as soon as an epoch of key-encryption keys has turned.

    What was made before the turn opens nothing any more: until the next one is made, there is none.
    """

    async def run(now: datetime) -> str:
        if await shelf.is_fresh(now):
            return "there is a fresh one"
        made = await shelf.make(folder, recipients)
        return f"{made.path.name}: {made.header.events} events, {made.size_bytes} bytes"

    return Job(LOOK_EVERY, run)


def pruning_backups(shelf: Shelf, folder: Path, keep_days: int) -> Job:
    """Delete the backups in the folder that are kept no longer, once a day."""

    async def run(now: datetime) -> str:
        found = await shelf.expired(folder, keep_days, now)
        for backup, path in found:
            await shelf.delete(backup, path)
        return f"{len(found)} backups deleted"

    return Job(timedelta(days=1), run)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.json").unlink(missing_ok=True)
