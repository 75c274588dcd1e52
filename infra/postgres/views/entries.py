"""The timeline's rows: one for each event."""

from collections.abc import Sequence
from functools import cache
from operator import attrgetter
from typing import Any, get_type_hints

from psycopg import AsyncConnection, sql

from infra.postgres.views.columns import column, unnested
from projections.timeline import Entry, entry
from services.ports import Recorded

COLUMNS = tuple(column(name, hint) for name, hint in get_type_hints(Entry).items())


async def enter(connection: AsyncConnection[Any], batch: Sequence[Recorded], *, suffix: str = "") -> None:
    """Write an entry for each of the events that has none.

    In one order everywhere, so that two writers never wait for each other in a circle.
    """
    entries = [entry(recorded) for recorded in sorted(batch, key=attrgetter("position"))]
    literals = [it.literal(map(attrgetter(it.name), entries)) for it in COLUMNS]
    await connection.execute(_insertion(suffix), literals)


@cache
def _insertion(suffix: str) -> bytes:
    query = sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT DO NOTHING").format(
        sql.Identifier("timeline" + suffix, "entries"),
        sql.SQL(", ").join(sql.Identifier(it.name) for it in COLUMNS),
        unnested(COLUMNS),
    )
    return query.as_bytes()
