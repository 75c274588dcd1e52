"""A subscriber's own database in a file: SQLite."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from lethe_subscriber.errors import Unreachable
from lethe_subscriber.stores import Row, Store

BUSY_SECONDS_MAX: Final = 30
OUTAGES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    }
)


class SQLite(Store[sqlite3.Connection]):
    """The database at `path`, made where there is none; `tables` is the author's own script of
    `CREATE TABLE IF NOT EXISTS ...`.

    Handlers get the connection, inside a transaction: they neither commit nor call `executescript`.
    """

    error = sqlite3.Error
    for_update = ""

    def __init__(self, path: str | os.PathLike[str], tables: str = "") -> None:
        self.path = os.fspath(path)
        self._tables = tables
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Unreachable(f"{self.path} is not open")
        return self._connection

    def open(self, tables: Sequence[str]) -> None:
        self.close()
        try:
            self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS_MAX, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            # An erasure is acknowledged once it is stored: that word must outlive a power cut.
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(f"{';'.join(tables)};{self._tables}")
        except sqlite3.Error as error:
            self.close()
            self._raise_outage(error)
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            # At once for writing: one that turns from reading to writing may be refused.
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                self._raise_outage(error)
            raise

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self.connection.execute(statement.replace("%s", "?"), values).fetchall()

    def is_outage(self, error: Exception) -> bool:
        # The low byte; the rest says more exactly which.
        return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in OUTAGES

    def _raise_outage(self, error: sqlite3.Error) -> None:
        if self.is_outage(error):
            raise Unreachable(f"{self.path}: {error.sqlite_errorname}") from None
