"""How the views are asked: conditions put together, rows fetched by id and in pages."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from psycopg import sql

from infra import arrays
from infra.outage import unavailable_while_rebuilt
from infra.postgres.database import Pool
from infra.postgres.views.tables import Table, load_rows
from projections.model import Headed, Heads, Row

R = TypeVar("R", bound=Row)

Conditions = Sequence[tuple[sql.Composable, Any]]
"""SQL conditions on `it`, each with the value of its placeholder (a list: of each of its placeholders); one
whose value is None is left out."""


def where_all(conditions: Conditions) -> tuple[sql.Composable, list[Any]]:
    """The conditions that have values, as one that holds if all do, and the values."""
    given = [(clause, value) for clause, value in conditions if value is not None]
    if not given:
        return sql.SQL("true"), []
    values = [it for _, value in given for it in (value if isinstance(value, list) else [value])]
    return sql.SQL(" AND ").join(clause for clause, _ in given), values


def either(clause: sql.Composable, wanted: bool | None) -> Conditions:
    """That it holds, or that it does not: in words, not as a parameter, so that a partial index is found."""
    return [
        (clause, [] if wanted is True else None),
        (sql.SQL("NOT ") + clause, [] if wanted is False else None),
    ]


async def fetch(
    pool: Pool, query: bytes | sql.SQL | sql.Composed, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[Any]:
    """All records of the query. Raises `Unavailable`."""
    with unavailable_while_rebuilt():
        async with pool.connection() as connection:
            cursor = await connection.execute(query, values, binary=True)
            return await cursor.fetchall()


QUERIES_MAX: Final = 1000
"""So many texts of statements are kept a table: who asks chooses the conditions, and how long a page is."""
HEADED: Final = ()
HEAD: Final = """
uuid_send(it.id) || int8send(it.version) || int8send(coalesce(member.version, -1))
"""
"""See `projections.model.head_of`."""


class RowReader(Generic[R]):
    """Reads the rows of one table. `member`: the column that names a member of staff, for the heads."""

    def __init__(self, pool: Pool, table: Table[R], *, member: str = "id") -> None:
        self.pool = pool
        self.table = table
        self._joined = sql.SQL("{} AS it LEFT JOIN directory.members AS member ON member.id = it.{}").format(
            table.identifier(), sql.Identifier(member)
        )
        self._queries: dict[tuple[int, ...], bytes] = {}

    async def one(self, id: UUID) -> R | None:
        return (await self.by_id([id])).get(id)

    async def many(self, ids: Sequence[UUID]) -> list[R]:
        """Those that exist, in the order asked for."""
        found = await self.by_id(ids)
        return [found[id] for id in ids if id in found]

    async def by_id(self, ids: Sequence[UUID]) -> dict[UUID, R]:
        with unavailable_while_rebuilt():
            async with self.pool.connection() as connection:
                return await load_rows(connection, self.table, ids)

    async def heads(self, conditions: Conditions, *, limit: int, after: UUID | None) -> Heads:
        """The heads of the same page as `page` has."""
        # Whence and how many are not shown to the planner as values: it would plan each page anew for them,
        # which takes longer than reading it.
        conditions = [*conditions, (sql.SQL("it.id > (SELECT %s)"), after)]
        # Put together once for each choice of conditions: that takes longer than asking does.
        asked = limit, *(value is not None for _, value in conditions)
        clause, values = where_all(conditions)
        if asked not in self._queries:
            if len(self._queries) >= QUERIES_MAX:
                self._queries.clear()
            query = sql.SQL(
                "SELECT keys.mark(), coalesce(array_agg(head), '{{}}') FROM ("
                "SELECT {} AS head FROM {} WHERE {} ORDER BY it.id LIMIT {}) AS page"
            ).format(sql.SQL(HEAD), self._joined, clause, sql.Literal(limit))
            self._queries[asked] = query.as_bytes()
        [record] = await fetch(self.pool, self._queries[asked], values)
        return Heads(*record)

    async def headed(self, ids: Sequence[UUID]) -> list[Headed[R]]:
        """Those that exist, in the order asked for, with their heads."""
        if HEADED not in self._queries:
            query = sql.SQL("SELECT (SELECT keys.mark()), {}, {} FROM {} WHERE it.id = ANY (%s)").format(
                sql.SQL(HEAD), self.table.selection(), self._joined
            )
            self._queries[HEADED] = query.as_bytes()
        decode = self.table.codec.decode
        records = await fetch(self.pool, self._queries[HEADED], [arrays.uuids(ids)])
        found = {head[:16]: Headed(mark, head, decode(row)) for mark, head, *row in records}
        return [found[id.bytes] for id in ids if id.bytes in found]

    async def page(self, conditions: Conditions, *, limit: int, after: UUID | None) -> list[R]:
        """In order of id, from the first above `after`."""
        clause, values = where_all([*conditions, (sql.SQL("it.id > %s"), after)])
        query = sql.SQL("SELECT {} FROM {} AS it WHERE {} ORDER BY it.id LIMIT %s").format(
            self.table.selection(), self.table.identifier(), clause
        )
        return [self.table.codec.decode(record) for record in await fetch(self.pool, query, [*values, limit])]
