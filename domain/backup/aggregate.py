"""What may happen to a backup."""

from typing import Self
from uuid import UUID

from domain.backup.events import BackupDeleted, BackupMade, BackupVerified
from domain.model import Aggregate, DomainError, Event


class BackupIsDeleted(DomainError):
    """A backup whose file is deleted cannot be verified."""


class Backup(Aggregate):
    """One backup file, from when it is whole until it is deleted."""

    TOPIC = "backup"

    @classmethod
    def make(
        cls, *, id: UUID, file: str, size_bytes: int, sha256: str, snapshot_position: int, epoch: int
    ) -> Self:
        return cls._create(
            BackupMade,
            id=id,
            file=file,
            size_bytes=size_bytes,
            sha256=sha256,
            snapshot_position=snapshot_position,
            epoch=epoch,
        )

    def verify(self, *, events: int, boxes_opened: int) -> None:
        """It was restored and was whole. Each time counts: a medium decays."""
        if self.deleted:
            raise BackupIsDeleted(self.id)
        self.trigger_event(BackupVerified, events=events, boxes_opened=boxes_opened)

    def delete(self) -> None:
        """Its file is gone. Deleting again changes nothing."""
        if not self.deleted:
            self.trigger_event(BackupDeleted)

    def evolve(self, event: Event) -> None:
        match event:
            case BackupMade():
                self.subject_id = event.originator_id
                self.deleted = False
            case BackupDeleted():
                self.deleted = True
