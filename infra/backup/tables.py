"""Which tables a database has, in an order in which they can be filled, and which columns are copied."""

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, LiteralString

from psycopg import Connection, sql

# The migrations' own list is kept in the header; `_next` and `_old` are what a rebuild of a view works in.
OURS: LiteralString = """
    nspname NOT IN ('migrations', 'information_schema', 'public')
    AND nspname !~ '^pg_' AND nspname !~ '_(next|old)$'
"""
# Transaction ids mean something in their own server only: rows get that of whoever restores them.
COLUMNS: LiteralString = (
    """
SELECT nspname, relname, pg_get_userbyid(relowner), pg_table_size(class.oid), array(
    SELECT attname FROM pg_attribute
    WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
      AND atttypid <> 'xid8'::regtype
    ORDER BY attnum
), array(
    SELECT DISTINCT format('%s.%s', of_schema.nspname, of_class.relname) FROM pg_constraint
    JOIN pg_class AS of_class ON of_class.oid = confrelid
    JOIN pg_namespace AS of_schema ON of_schema.oid = of_class.relnamespace
    WHERE conrelid = class.oid AND contype = 'f' AND confrelid <> class.oid
)
FROM pg_class AS class JOIN pg_namespace AS schema ON schema.oid = relnamespace
WHERE relkind = 'r' AND relpersistence = 'p' AND """  # noqa: S608 - constants of this file
    + OURS
    + " ORDER BY nspname, relname"
)
SEQUENCES: LiteralString = (
    "SELECT nspname, relname FROM pg_class AS class "  # noqa: S608 - constants of this file
    "JOIN pg_namespace AS schema ON schema.oid = relnamespace "
    "WHERE relkind = 'S' AND " + OURS + " ORDER BY nspname, relname"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and the role that may read and write it."""

    schema: str
    name: str
    owner: str
    size_bytes: int
    columns: tuple[str, ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def columns_list(self) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, self.columns))


def tables_of(connection: Connection[Any]) -> list[Table]:
    """All of them, each after those that it refers to."""
    found: dict[str, Table] = {}
    order: TopologicalSorter[str] = TopologicalSorter()
    for schema, name, owner, size, columns, refers_to in connection.execute(COLUMNS):
        table = Table(schema, name, owner, size, tuple(columns))
        found[table.full_name] = table
        order.add(table.full_name, *refers_to)
    return [found[name] for name in order.static_order()]


def act_as(connection: Connection[Any], table: Table) -> None:
    """Take the role of the table's owner, until the next such call or the transaction's end."""
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(table.owner)))


def sequences_of(connection: Connection[Any]) -> list[tuple[str, str, int, bool]]:
    """Schema, name, last value, and whether it was called. Later than a snapshot, never earlier."""
    found = []
    for schema, name in connection.execute(SEQUENCES).fetchall():
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        row = connection.execute(query).fetchone()
        assert row is not None  # noqa: S101 - a sequence has one row
        found.append((schema, name, *row))
    return found


def set_sequences(connection: Connection[Any], values: Iterable[tuple[str, str, int, bool]]) -> None:
    """Let each go on where it was."""
    for schema, name, last, called in values:
        connection.execute(
            sql.SQL("SELECT setval({}::regclass, %s, %s)").format(
                sql.Literal(sql.Identifier(schema, name).as_string(connection))
            ),
            [last, called],
        )
