"""What happens to a backup: facts about a file, which hold nothing of what is in it."""

from typing import ClassVar
from uuid import UUID

from domain.model import Created, Event, Public


class BackupEvent(Event):
    """Nothing personal: a reason is sealed under the backup's own key."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class BackupMade(BackupEvent, Created):
    """A backup is written: everything up to `snapshot_position`, and the keys as wrapped in `epoch`.

    `file` is its name without a folder; `size_bytes` and `sha256` are the encrypted file's.
    """

    TOPIC: ClassVar[str] = "backup.made"
    file: Public[str]
    size_bytes: Public[int]
    sha256: Public[str]
    snapshot_position: Public[int]
    epoch: Public[int]


class BackupVerified(BackupEvent):
    """It was restored elsewhere, and was whole; `boxes_opened` of it were opened with the present keys."""

    TOPIC: ClassVar[str] = "backup.verified"
    events: Public[int]
    boxes_opened: Public[int]


class BackupDeleted(BackupEvent):
    """Its file is deleted."""

    TOPIC: ClassVar[str] = "backup.deleted"
