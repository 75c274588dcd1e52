"""The views' rows as states are made of them, and how far the topics of states have come."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from domain.model import Sealed
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.query import fetch
from infra.postgres.views.tables import Table, load_rows
from projections.model import Row

Place = tuple[UUID, int]
"""Which event: the record's id and version."""

LACKED = """
FROM log.events AS it WHERE {}
AND NOT EXISTS (SELECT FROM timeline.entries WHERE entries.position = it.position)
AND NOT EXISTS (SELECT FROM views.dead_letters AS parked WHERE parked.originator_id = it.originator_id
                AND parked.view = 'timeline' AND parked.version <= it.originator_version)
AND NOT EXISTS (SELECT FROM views.skipped WHERE skipped.originator_id = it.originator_id
                AND skipped.view = 'timeline' AND skipped.version = it.originator_version)
"""
SHOWN = sql.SQL("SELECT NOT EXISTS (SELECT " + LACKED.format("position = ANY (%s)") + ")")
SHOWN_UP_TO = sql.SQL(
    "SELECT coalesce((SELECT min(position) - 1 " + LACKED.format("position <= %s") + "), %s)"
)
POSITIONS: LiteralString = """
SELECT it.originator_id, it.originator_version, it.position
FROM unnest(%s::uuid[], %s::bigint[]) AS asked (id, version)
JOIN log.events AS it ON it.originator_id = asked.id AND it.originator_version = asked.version
"""
ADVANCE: LiteralString = """
INSERT INTO log.state_feeds AS it (place, position) VALUES (%s, %s)
ON CONFLICT (place) DO UPDATE SET position = greatest(it.position, excluded.position), updated_at = now()
"""


class PostgresStateRows:
    """Reads rows of any view. Each method raises `Unavailable` while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def shown(self, positions: Sequence[int]) -> bool:
        """Whether the views show all of these events, but for what they are told to leave out."""
        ((shown,),) = await fetch(self._pool, SHOWN, [list(positions)])
        return bool(shown)

    async def shown_up_to(self, position: int) -> int:
        """Up to where, this position at most, the views show all events; it looks at the whole log."""
        ((reached,),) = await fetch(self._pool, SHOWN_UP_TO, [position, position])
        return int(reached)

    async def page(self, table: Table[Any], after: UUID | None, limit: int) -> list[Row]:
        """The next rows in order of id."""
        query = sql.SQL("SELECT {} FROM {} AS it WHERE it.id > %s ORDER BY it.id LIMIT %s").format(
            table.selection(), table.identifier()
        )
        found = await fetch(self._pool, query, [after or UUID(int=0), limit])
        return [table.codec.decode(record) for record in found]

    async def rows(self, table: Table[Any], ids: Collection[UUID]) -> list[Row]:
        """Those of the rows that there are."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return list((await load_rows(connection, table, ids)).values())

    async def of_subjects(self, table: Table[Any], subject_ids: Collection[UUID]) -> list[Row]:
        """The rows that are about these people."""
        query = sql.SQL("SELECT {} FROM {} AS it WHERE it.subject_id = ANY (%s)").format(
            table.selection(), table.identifier()
        )
        found = await fetch(self._pool, query, [list(subject_ids)])
        return [table.codec.decode(record) for record in found]

    async def positions(self, handles: Collection[Sealed]) -> Mapping[Place, int]:
        """Where in the log the events lie that the handles' boxes belong to."""
        places = list({(it.originator_id, it.originator_version) for it in handles})
        if not places:
            return {}
        ids, versions = [id for id, _ in places], [version for _, version in places]
        found = await fetch(self._pool, sql.SQL(POSITIONS), [ids, versions])
        return {(id, version): position for id, version, position in found}

    async def checkpoint(self, place: str) -> int | None:
        """The position that this place's states have come to; None before all of them were there once."""
        found = await fetch(
            self._pool, sql.SQL("SELECT position FROM log.state_feeds WHERE place = %s"), [place]
        )
        return int(found[0][0]) if found else None

    async def advance(self, place: str, position: int) -> None:
        """This place has every state up to this position."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(ADVANCE, [place, position])
