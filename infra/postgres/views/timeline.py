"""Finds the events that name a subject, in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.query import fetch
from projections.timeline import Entry, SubjectRecord, kind_of


class PostgresTimelineIndex:
    """Implements `projections.timeline.TimelineIndex`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def entries(self, subject_id: UUID, *, limit: int, after: int = 0) -> list[Entry]:
        query = sql.SQL(
            "SELECT position, originator_id, version, topic, occurred_at, recorded_at, subjects "
            "FROM timeline.entries WHERE subjects @> ARRAY[%s] AND position > %s ORDER BY position LIMIT %s"
        )
        return [
            Entry(
                position=position,
                originator_id=originator_id,
                version=version,
                topic=topic,
                occurred_at=occurred_at,
                recorded_at=recorded_at,
                subjects=tuple(subjects),
            )
            for position, originator_id, version, topic, occurred_at, recorded_at, subjects in await fetch(
                self.pool, query, [subject_id, after, limit]
            )
        ]

    async def records(self, subject_id: UUID) -> Sequence[SubjectRecord]:
        query = sql.SQL(
            "SELECT originator_id, min(topic), min(position) FROM timeline.entries "
            "WHERE subjects @> ARRAY[%s] GROUP BY originator_id ORDER BY min(position)"
        )
        return [
            SubjectRecord(id=id, kind=kind_of(topic), first_position=position)
            for id, topic, position in await fetch(self.pool, query, [subject_id])
        ]
