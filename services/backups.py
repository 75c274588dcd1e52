"""Keeping account of backups: that one was made, verified, deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.backup.aggregate import Backup
from services.application import Application
from services.ports import CommandContext, Outcome


@dataclass(frozen=True, slots=True)
class KnownBackup:
    """A backup as the log knows it."""

    id: UUID
    file: str
    size_bytes: int
    sha256: str
    snapshot_position: int
    epoch: int
    made_at: datetime
    position: int
    """Of `backup.made` in the log."""
    verified_at: datetime | None = None
    deleted_at: datetime | None = None


class Backups:
    """What became of each backup. The file is made, read and deleted elsewhere, before this is said."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def make(
        self,
        *,
        id: UUID,
        context: CommandContext,
        file: str,
        size_bytes: int,
        sha256: str,
        snapshot_position: int,
        epoch: int,
    ) -> Outcome:
        return await self._application.create(
            lambda: Backup.make(
                id=id,
                file=file,
                size_bytes=size_bytes,
                sha256=sha256,
                snapshot_position=snapshot_position,
                epoch=epoch,
            ),
            context=context,
        )

    async def verify(self, *, id: UUID, context: CommandContext, events: int, boxes_opened: int) -> Outcome:
        return await self._application.change(
            Backup,
            id,
            lambda backup: backup.verify(events=events, boxes_opened=boxes_opened),
            context=context,
        )

    async def delete(self, *, id: UUID, context: CommandContext) -> Outcome:
        return await self._application.change(Backup, id, lambda backup: backup.delete(), context=context)


def expired(backups: Sequence[KnownBackup], *, keep: timedelta, now: datetime) -> list[KnownBackup]:
    """Those that are kept no longer: older than that, and not the last one there is."""
    there = sorted((it for it in backups if it.deleted_at is None), key=lambda it: it.made_at)
    return [it for it in there[:-1] if it.made_at < now - keep]
