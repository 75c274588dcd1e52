"""What a rebuild asks of the database: tables beside the live ones, what lacks, and how they take over."""

import hashlib
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql

from infra.postgres.views.form import ViewForm
from infra.postgres.views.letters import succeed
from infra.postgres.views.standing import note_built

NEXT = "next"


async def is_begun(connection: AsyncConnection[Any], beside: str, form: ViewForm) -> bool:
    """Whether tables of this form lie there, from a rebuild that was interrupted."""
    cursor = await connection.execute("SELECT fingerprint FROM views.built WHERE view = %s", [beside])
    if await cursor.fetchone() != (form.fingerprint,):
        return False
    return {it.name for it in form.tables} <= set(await _tables(connection, beside))


async def take_over(connection: AsyncConnection[Any], view: str, form: ViewForm, horizon: int) -> None:
    """The rebuilt tables, which have come to this position, become the live ones."""
    for name, to in ((view, f"{view}_old"), (f"{view}_next", view)):
        if await _exists(connection, name):
            await connection.execute(
                sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
            )
    await connection.execute("DELETE FROM views.tracking WHERE view = %s AND source = %s", [view, NEXT])
    # It may have stood still, or be new: whoever feeds the other views goes on from here.
    await connection.execute(
        "INSERT INTO views.tracking AS live (view, source, position) "
        "SELECT DISTINCT %s, source, %s FROM views.tracking WHERE source <> %s "
        "ON CONFLICT (view, source) DO UPDATE SET position = greatest(live.position, excluded.position)",
        [view, horizon, NEXT],
    )
    await succeed(connection, view, f"{view}_next")
    await connection.execute("DELETE FROM views.built WHERE view = %s", [f"{view}_next"])
    await note_built(connection, view, form)


async def _exists(connection: AsyncConnection[Any], schema: str) -> bool:
    cursor = await connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])
    return await cursor.fetchone() is not None


async def _tables(connection: AsyncConnection[Any], schema: str) -> list[str]:
    cursor = await connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename", [schema]
    )
    return [record[0] for record in await cursor.fetchall()]


async def tracked(connection: AsyncConnection[Any], view: str, source: str) -> int | None:
    cursor = await connection.execute(
        "SELECT position FROM views.tracking WHERE view = %s AND source = %s", [view, source]
    )
    record = await cursor.fetchone()
    return None if record is None else int(record[0])


MISSING: LiteralString = """
SELECT position FROM log.events AS it WHERE position > %s AND position <= %s
AND NOT EXISTS (SELECT FROM timeline.entries WHERE entries.position = it.position)
AND NOT EXISTS (SELECT FROM views.dead_letters AS parked WHERE parked.originator_id = it.originator_id
                AND parked.view = 'timeline' AND parked.version <= it.originator_version)
AND NOT EXISTS (SELECT FROM views.skipped WHERE skipped.originator_id = it.originator_id
                AND skipped.view = 'timeline' AND skipped.version = it.originator_version)
ORDER BY position
"""


async def missing(connection: AsyncConnection[Any], after: int, until: int) -> list[int]:
    """The positions of events that the views do not show, and are not parked."""
    cursor = await connection.execute(MISSING, [after, until])
    return [record[0] for record in await cursor.fetchall()]


async def last_settled(connection: AsyncConnection[Any]) -> int:
    """The position before the first of those; it looks at the whole log: seconds for a million events."""
    cursor = await connection.execute("SELECT coalesce(max(position), 0) FROM log.events")
    (last,) = await cursor.fetchone() or (0,)
    cursor = await connection.execute(MISSING + " LIMIT 1", [0, last])
    first = await cursor.fetchone()
    return int(last) if first is None else int(first[0]) - 1


async def purge(connection: AsyncConnection[Any], schema: str) -> None:
    """Take whoever was erased meanwhile out of the blind index: the purge knew the live one only."""
    await connection.execute(
        sql.SQL(
            "DELETE FROM {0} WHERE subject_id IN (SELECT subject_id FROM keys.standings("
            "(SELECT coalesce(array_agg(DISTINCT subject_id), ARRAY[]::uuid[]) FROM {0})) "
            "WHERE erased OR 'contact' = ANY (categories))"
        ).format(sql.Identifier(schema, "blind_index"))
    )


async def hash_of(connection: AsyncConnection[Any], schema: str, form: ViewForm) -> tuple[str, int]:
    """SHA-256 over the view's rows, in whatever order they and their columns lie; and how many there are."""
    whole, rows = hashlib.sha256(), 0
    for table in sorted(form.tables, key=lambda it: it.name):
        columns = sql.SQL(", ").join(sql.Identifier("it", name.name) for name in table.columns)
        cursor = await connection.execute(
            sql.SQL(
                "SELECT count(*), sha256(coalesce(string_agg(digest, ''::bytea ORDER BY digest), ''::bytea)) "
                "FROM (SELECT sha256(convert_to(ROW({})::text, 'UTF8')) AS digest FROM {} AS it) AS digests"
            ).format(columns, sql.Identifier(schema, table.name))
        )
        count, digest = await cursor.fetchone() or (0, b"")
        whole.update(table.name.encode() + b"\0" + digest)
        rows += count
    return whole.hexdigest(), rows
