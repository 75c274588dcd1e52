"""Which records name whom, and when they last moved: read from the timeline, a person at a time."""

from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, LiteralString
from uuid import UUID

from infra.outage import unavailable_while_rebuilt
from infra.postgres.database import Pool
from projections.timeline import kind_of
from services.retention import OF_PART, Holding

PAGE = 2_000

# A record's kind is its first event's. Who is named only by a part of the record, as a contact is, is not
# named by its first event: for them, and for nobody else, the part's own events count.
HOLDINGS: LiteralString = """
WITH named AS (
    SELECT person AS subject_id, originator_id, min(version) AS since,
           jsonb_object_agg(topic, jsonb_build_array(position, occurred_at) ORDER BY position)
               FILTER (WHERE topic = ANY (%(of_part)s)) AS part
    FROM timeline.entries, unnest(subjects) AS person WHERE {which} GROUP BY 1, 2
), records AS (
    SELECT originator_id, max(occurred_at) AS last_activity,
           max(topic) FILTER (WHERE version = 1) AS first,
           jsonb_object_agg(topic, jsonb_build_array(position, occurred_at) ORDER BY position)
               FILTER (WHERE topic = ANY (%(of_record)s)) AS whole
    FROM timeline.entries WHERE {of_which} GROUP BY 1
)
SELECT subject_id, originator_id, first, last_activity, whole, since > 1, part
FROM named JOIN records USING (originator_id) WHERE first IS NOT NULL ORDER BY subject_id, originator_id
"""
"""Of an event that happened several times the last one stays: later values of a key replace earlier ones."""

EVERYBODY: LiteralString = HOLDINGS.format(which="person > %(after)s", of_which="true")
SOME: LiteralString = HOLDINGS.format(
    which="subjects && %(ids)s::uuid[] AND person = ANY (%(ids)s)",
    of_which="originator_id IN (SELECT originator_id FROM named)",
)
NOBODY = UUID(int=0)


class PostgresHoldings:
    """Implements `infra.retention.Holdings`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def everybody(
        self, topics: Collection[str], *, after: UUID | None = None
    ) -> AsyncGenerator[tuple[UUID, Sequence[Holding]], None]:
        """Everybody who is named anywhere, in order of id, with the records that name them. Streamed."""
        values = _parameters(topics) | {"after": after or NOBODY}
        with unavailable_while_rebuilt():
            async with (
                self._pool.connection() as connection,
                connection.transaction(),
                connection.cursor(name="holdings") as cursor,
            ):
                cursor.itersize = PAGE
                await cursor.execute(EVERYBODY, values)
                subject_id, held = None, list[Holding]()
                async for record in cursor:
                    if record[0] != subject_id and subject_id is not None:
                        yield subject_id, held
                        held = []
                    subject_id = record[0]
                    held.append(_holding(record))
                if subject_id is not None:
                    yield subject_id, held

    async def of(
        self, subject_ids: Collection[UUID], topics: Collection[str]
    ) -> dict[UUID, Sequence[Holding]]:
        """The same for these people only."""
        values = _parameters(topics) | {"ids": list(subject_ids)}
        with unavailable_while_rebuilt():
            async with self._pool.connection() as connection:
                records = await (await connection.execute(SOME, values)).fetchall()
        return {
            subject_id: [_holding(record) for record in held]
            for subject_id, held in groupby(records, key=lambda record: record[0])
        }


def _parameters(topics: Collection[str]) -> dict[str, Any]:
    return {"of_part": sorted(OF_PART), "of_record": sorted(set(topics) - OF_PART)}


def _holding(record: Sequence[Any]) -> Holding:
    _, id, first, last_activity, whole, is_part, part = record
    latest = (whole or {}) | ((part or {}) if is_part else {})
    return Holding(
        record_id=id,
        kind=kind_of(first),
        last_activity=last_activity,
        latest={topic: (place, datetime.fromisoformat(at)) for topic, (place, at) in latest.items()},
        part=is_part,
    )
