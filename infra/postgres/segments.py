"""Segments in PostgreSQL: a record's row is kept as the view's own table would have it."""

from collections.abc import Sequence, Set
from typing import Any
from uuid import UUID

from psycopg import sql

from infra.history.segments import (
    BEGINNING,
    VERSION_MAX,
    Bounds,
    Passing,
    RowTable,
    Segment,
    Start,
    form,
)
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.columns import unnested
from infra.postgres.views.query import fetch
from infra.postgres.views.tables import TABLES, Table

NEWEST = """
SELECT start.to_version, start."row" IS NULL, {columns} FROM (
    SELECT to_version, "row" FROM history.segments
    WHERE record_id = %s AND view = %s AND form = %s AND to_version <= %s
      AND occurred_max <= coalesce(%s::timestamptz, 'infinity')
      AND recorded_max <= coalesce(%s::timestamptz, 'infinity')
    ORDER BY to_version DESC LIMIT 1
) AS start, jsonb_populate_record(NULL::{table}, start."row") AS it
"""

# Whole segments are passed over by their least times, before their arrays are looked at.
PASSING = """
SELECT array_agg(it.version ORDER BY it.version) FILTER (WHERE it.version IS NOT NULL), max(to_version)
FROM history.segments LEFT JOIN LATERAL (
    SELECT from_version + at.place - 1 AS version
    FROM unnest(occurred, recorded) WITH ORDINALITY AS at (occurred_at, recorded_at, place)
    WHERE at.occurred_at <= coalesce(%(as_of)s::timestamptz, 'infinity')
      AND at.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
) AS it ON occurred_min <= coalesce(%(as_of)s::timestamptz, 'infinity')
        AND recorded_min <= coalesce(%(known_at)s::timestamptz, 'infinity')
WHERE record_id = %(record)s AND view = %(view)s AND form = %(form)s AND to_version > %(after)s
"""

LAST = """
SELECT last.from_version, last.to_version, last.occurred, last.recorded, last.occurred_max, last.recorded_max,
       last."row" IS NULL, {columns}
FROM (
    SELECT * FROM history.segments WHERE record_id = %s AND view = %s AND form = %s
    ORDER BY to_version DESC LIMIT 1
) AS last, jsonb_populate_record(NULL::{table}, last."row") AS it
"""

WRITE = """
INSERT INTO history.segments (record_id, view, form, from_version, to_version, occurred, recorded,
                              occurred_min, recorded_min, occurred_max, recorded_max, "row")
VALUES (%s, %s, %s, %s, %s, %s::timestamptz[], %s::timestamptz[], %s, %s, %s, %s,
        (SELECT to_jsonb(made) FROM ({made}) AS made))
ON CONFLICT DO NOTHING
"""


class PostgresSegments:
    """Implements `infra.history.segments.Segments`."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def newest(
        self, table: RowTable, record_id: UUID, bounds: Bounds, *, version_max: int = VERSION_MAX
    ) -> Start:
        values = [record_id, _name(table), form(), version_max, bounds.as_of, bounds.known_at]
        for version, empty, *record in await fetch(self.pool, _with_row(NEWEST, table), values):
            return Start(version, None if empty else _own(table).codec.decode(record))
        return BEGINNING

    async def passing(self, table: RowTable, record_id: UUID, bounds: Bounds, *, after: int) -> Passing:
        values = {
            "record": record_id,
            "view": _name(table),
            "form": form(),
            "after": after,
            "as_of": bounds.as_of,
            "known_at": bounds.known_at,
        }
        ((versions, covered),) = await fetch(self.pool, sql.SQL(PASSING), values)
        return Passing(versions or [], covered or 0)

    async def last(self, table: RowTable, record_id: UUID) -> Segment | None:
        values = [record_id, _name(table), form()]
        for record in await fetch(self.pool, _with_row(LAST, table), values):
            first, version, occurred, recorded, occurred_max, recorded_max, empty, *columns = record
            row = None if empty else _own(table).codec.decode(columns)
            return Segment(record_id, first, version, occurred, recorded, occurred_max, recorded_max, row)
        return None

    async def passed(self, table: RowTable, record_id: UUID) -> Set[int]:
        query = sql.SQL("SELECT version FROM views.skipped WHERE originator_id = %s AND view = %s")
        return {version for (version,) in await fetch(self.pool, query, [record_id, table.view])}

    async def write(self, table: RowTable, segments: Sequence[Segment]) -> None:
        codec = _own(table).codec
        query = sql.SQL(WRITE).format(made=unnested(codec.columns))
        with unavailable_on_outage():
            async with self.pool.connection() as connection, connection.transaction():
                for it in segments:
                    literals = codec.encode([] if it.row is None else [it.row])
                    await connection.execute(query, [*_columns(table, it), *literals])


def _columns(table: RowTable, it: Segment) -> list[Any]:
    return [
        it.record_id,
        _name(table),
        form(),
        it.from_version,
        it.to_version,
        list(it.occurred),
        list(it.recorded),
        min(it.occurred),
        min(it.recorded),
        it.occurred_max,
        it.recorded_max,
    ]


def _name(table: RowTable) -> str:
    return f"{table.view}.{table.name}"


def _own(table: RowTable) -> Table[Any]:
    return next(it for it in TABLES if it.view == table.view and it.name == table.name)


def _with_row(query: str, table: RowTable) -> sql.Composed:
    return sql.SQL(query).format(columns=_own(table).selection(), table=_own(table).identifier())


class PostgresCheckpoints:
    """Implements `infra.history.segmenting.Checkpoints`, beside those of the log's other followers."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.name = f"segments {form().hex()}"

    async def position(self) -> int:
        found = await fetch(
            self.pool, sql.SQL("SELECT position FROM log.followers WHERE name = %s"), [self.name]
        )
        return int(found[0][0]) if found else 0

    async def advance(self, position: int) -> None:
        """The segments of other forms of the program go, and with them how far those had come."""
        with unavailable_on_outage():
            async with self.pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(
                    "INSERT INTO log.followers AS it (name, position) VALUES (%s, %s) ON CONFLICT (name)"
                    " DO UPDATE SET position = greatest(it.position, excluded.position) RETURNING xmax = 0",
                    [self.name, position],
                )
                if await cursor.fetchone() == (True,):
                    await connection.execute("DELETE FROM history.segments WHERE form <> %s", [form()])
                    await connection.execute(
                        "DELETE FROM log.followers WHERE name LIKE 'segments %%' AND name <> %s", [self.name]
                    )
