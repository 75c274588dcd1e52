"""Finds events by what is said about them, in PostgreSQL."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.query import Conditions, fetch, where_all
from projections.timeline import Effect, Entry, EntryFilter, Order, Place, SubjectRecord, kind_of

COLUMNS: Final = sql.SQL(", ").join(sql.Identifier(it) for it in Entry.__struct_fields__)
MOMENTS: Final = {Order.RECORDED: sql.SQL("recorded_at"), Order.OCCURRED: sql.SQL("occurred_at")}


class PostgresTimelineIndex:
    """Implements `projections.timeline.TimelineIndex`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def find(
        self, where: EntryFilter, *, order: Order = Order.POSITION, limit: int, after: Place | None = None
    ) -> list[Entry]:
        keys = sql.SQL(", ").join([*([MOMENTS[order]] if order in MOMENTS else []), sql.SQL("position")])
        clause, values = where_all([*_conditions(where), *_above(after, order)])
        query = sql.SQL("SELECT {} FROM timeline.entries WHERE {} ORDER BY {} LIMIT %s").format(
            COLUMNS, clause, keys
        )
        return [_entry(record) for record in await fetch(self.pool, query, [*values, limit])]

    async def effects(self, event_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Effect]]:
        query = sql.SQL(
            "SELECT causation_id, event_id, originator_id, position, topic FROM timeline.entries "
            "WHERE causation_id = ANY(%s) ORDER BY position"
        )
        found: dict[UUID, list[Effect]] = defaultdict(list)
        for cause, *effect in await fetch(self.pool, query, [list(event_ids)]):
            found[cause].append(Effect(*effect))
        return found

    async def entries(self, subject_id: UUID, *, limit: int, after: int = 0) -> list[Entry]:
        return await self.find(EntryFilter(subject_id=subject_id), limit=limit, after=Place(after))

    async def records(self, subject_id: UUID) -> Sequence[SubjectRecord]:
        query = sql.SQL(
            "SELECT originator_id, min(topic), min(position) FROM timeline.entries "
            "WHERE subjects @> ARRAY[%s] GROUP BY originator_id ORDER BY min(position)"
        )
        return [
            SubjectRecord(id=id, kind=kind_of(topic), first_position=position)
            for id, topic, position in await fetch(self.pool, query, [subject_id])
        ]


def _conditions(where: EntryFilter) -> Conditions:
    return [
        (sql.SQL("originator_id = %s"), where.record_id),
        (sql.SQL("subjects @> ARRAY[%s]"), where.subject_id),
        (sql.SQL("actor = %s"), where.actor),
        (sql.SQL("on_behalf_of = %s"), where.on_behalf_of),
        (sql.SQL("topic = ANY(%s)"), None if where.topics is None else [sorted(where.topics)]),
        (sql.SQL("recorded_at >= %s"), where.recorded_from),
        (sql.SQL("recorded_at < %s"), where.recorded_until),
        (sql.SQL("occurred_at >= %s"), where.occurred_from),
        (sql.SQL("occurred_at < %s"), where.occurred_until),
        (sql.SQL("position <= %s"), where.position_max),
    ]


def _above(after: Place | None, order: Order) -> Conditions:
    if after is None:
        return []
    if after.moment is None or order not in MOMENTS:
        return [(sql.SQL("position > %s"), after.position)]
    clause = sql.SQL("({}, position) > (%s, %s)").format(MOMENTS[order])
    return [(clause, [after.moment, after.position])]


def _entry(record: Sequence[Any]) -> Entry:
    values = dict(zip(Entry.__struct_fields__, record, strict=True))
    return Entry(**values | {"subjects": tuple(values["subjects"])})
