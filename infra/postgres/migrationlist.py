"""yoyo's list of applied migrations, in a schema of its own and under our own lock.

Apart from the rest, which every start of a command loads: only a database that lacks something needs yoyo.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import MigrationList, default_migration_table

BOOKKEEPING = "migrations"
LOCK = 0x6C65746865  # "lethe": one migration at a time in a database


class MigrationLedger(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """yoyo's list of applied migrations, in a schema of its own."""

    schema = BOOKKEEPING

    def connect(self, dburi: str) -> psycopg.Connection[Any]:
        connection = psycopg.connect(dburi, autocommit=True, application_name="lethe migrate")
        while not _locked(connection):
            time.sleep(0.05)
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {BOOKKEEPING}")
        return connection

    def list_tables(self, **kwargs: Any) -> list[str]:
        tables = self.connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [BOOKKEEPING]
        )
        return [row[0] for row in tables]

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:
        """The advisory lock is held already, and dies with its connection."""
        yield


def _locked(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
    return bool(row and row[0])


def ledger_of(url: str) -> MigrationLedger:
    """The list of this database, made where there is none. Waits for whoever migrates it."""
    return MigrationLedger(url, default_migration_table)


def missing(ledger: MigrationLedger, folder: Path) -> Sequence[Any]:
    """The migrations of the folder that the list lacks, in their order."""
    shipped = MigrationList(read_migrations(str(folder)))
    return sorted(ledger.to_apply(shipped), key=lambda it: it.id)
