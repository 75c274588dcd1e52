"""The backups that the log knows of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import LiteralString
from uuid import UUID

from eventsourcing.persistence import Notification

from domain.backup.events import BackupDeleted, BackupMade, BackupVerified
from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from services.backups import KnownBackup
from services.ports import Recorded

EVENTS: LiteralString = """
SELECT originator_id, originator_version, topic, state, position FROM log.events
WHERE topic IN ('backup.made', 'backup.verified', 'backup.deleted') ORDER BY position
"""


async def known_backups(pool: Pool, mapper: EventMapper) -> Sequence[KnownBackup]:
    """All that were ever made here, oldest first, the deleted ones too. Raises `Unavailable`."""
    with unavailable_on_outage():
        async with pool.connection() as connection:
            rows = await (await connection.execute(EVENTS)).fetchall()
    found: dict[UUID, KnownBackup] = {}
    for row in rows:
        _learn(found, mapper.to_domain_event(Notification(*row)))
    return list(found.values())


def _learn(found: dict[UUID, KnownBackup], recorded: Recorded) -> None:
    event, at = recorded.event, recorded.envelope.recorded_at
    match event:
        case BackupMade():
            found[event.originator_id] = KnownBackup(
                id=event.originator_id,
                file=event.file,
                size_bytes=event.size_bytes,
                sha256=event.sha256,
                snapshot_position=event.snapshot_position,
                epoch=event.epoch,
                made_at=event.timestamp,
                position=recorded.position,
            )
        case BackupVerified():
            found[event.originator_id] = replace(found[event.originator_id], verified_at=at)
        case BackupDeleted():
            found[event.originator_id] = replace(found[event.originator_id], deleted_at=at)
