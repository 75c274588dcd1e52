"""A subscriber's own database on a server: PostgreSQL. Needs the extra `postgresql`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from lethe_subscriber.errors import Unreachable
from lethe_subscriber.stores import Row, Store

CONNECT_SECONDS_MAX: Final = 10
OUTAGES: Final = ("08", "25P03", "25P04", "40", "53", "55P03", "57", "58")
"""SQLSTATEs, by how they begin: connection, timeouts of a transaction, rollback of one among several, no
resources, no lock, an operator's doing, the system's."""
TABLES_LOCK: Final = 7_310_577_016_438_842_915

Connection = psycopg.Connection[Any]


class PostgreSQL(Store[Connection]):
    """The database of `conninfo`; `tables` is the author's own script of `CREATE TABLE IF NOT EXISTS ...`.

    Handlers get the connection, inside a transaction: they do not commit.
    """

    error = psycopg.Error
    for_update = " FOR UPDATE"

    def __init__(self, conninfo: str, tables: str = "") -> None:
        self._conninfo = conninfo
        self._tables = tables
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            raise Unreachable("the database is not open")
        return self._connection

    def open(self, tables: Sequence[str]) -> None:
        self.close()
        try:
            self._connection = psycopg.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS_MAX,
                application_name="lethe subscriber",
            )
            with self._connection.transaction():
                # Two that make one table at the same moment do not both succeed, `IF NOT EXISTS` or not.
                self.execute("SELECT pg_advisory_xact_lock(%s)", [TABLES_LOCK])
                for script in (*tables, self._tables):
                    self.execute(script)
        except psycopg.Error as error:
            if self._connection is None and isinstance(error, psycopg.OperationalError):
                raise Unreachable("the database cannot be reached") from None
            self._raise_outage(error)
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        connection = self.connection
        try:
            connection.execute("BEGIN")
            yield
            connection.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, psycopg.Error):
                self._raise_outage(error)
            if not connection.closed:
                connection.rollback()
            raise

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self.connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def is_outage(self, error: Exception) -> bool:
        if not isinstance(error, psycopg.Error):
            return False
        lost = self._connection is not None and self._connection.closed
        return lost or (error.sqlstate or "").startswith(OUTAGES)

    def _raise_outage(self, error: psycopg.Error) -> None:
        if self.is_outage(error):
            # Not its text, which may name hosts and roles; whatever it was under way with is given up.
            self.close()
            raise Unreachable(f"the database is away ({type(error).__name__})") from None
