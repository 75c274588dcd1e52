"""The rules of a backup, and which ones are kept."""

from datetime import timedelta
from uuid import UUID

from domain.backup.aggregate import Backup, BackupIsDeleted
from domain.backup.events import BackupDeleted, BackupMade, BackupVerified
from services.backups import KnownBackup, expired
from tests.domain.given import ID, NOON, Given, fact

SAID = {"file": "a.age", "size_bytes": 9, "sha256": "0a", "snapshot_position": 7, "epoch": 1}
MADE = fact(BackupMade, **SAID)
made = Given(Backup).given(MADE)


def test_a_backup_is_made() -> None:
    Given(Backup).when_made(lambda: Backup.make(id=ID, **SAID)).then(MADE)  # type: ignore[arg-type]


def test_a_backup_is_verified_as_often_as_somebody_does() -> None:
    verified = fact(BackupVerified, events=5, boxes_opened=3)
    made.given(verified).when(lambda it: it.verify(events=5, boxes_opened=3)).then(verified)


def test_a_backup_is_deleted_once_and_not_verified_any_more() -> None:
    made.when(lambda it: it.delete()).then(fact(BackupDeleted))
    gone = made.given(fact(BackupDeleted))
    gone.when(lambda it: it.delete()).then()
    gone.when(lambda it: it.verify(events=5, boxes_opened=3)).refused(BackupIsDeleted)


def known(days: int, *, deleted: bool = False) -> KnownBackup:
    at = NOON - timedelta(days=days)
    return KnownBackup(UUID(int=days), "a", 1, "0", 1, 1, at, 1, deleted_at=at if deleted else None)


def test_old_backups_expire_but_never_the_last_one_there_is() -> None:
    keep = timedelta(days=30)
    backups = [known(100), known(31), known(29), known(50, deleted=True)]
    assert [it.id.int for it in expired(backups, keep=keep, now=NOON)] == [100, 31]
    assert expired([known(100), known(10, deleted=True)], keep=keep, now=NOON) == []
