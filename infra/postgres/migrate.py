"""Brings a database to the present schema: plain numbered SQL files, each applied once, in order.

yoyo reads the files and keeps the list of those applied. Its lock is a row that a killed process leaves
behind, and it commits a migration before it lists it; so an advisory lock is held here instead, and a
file and its entry in the list are one transaction.
"""

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import MigrationList, default_migration_table

FOLDER = Path(__file__).with_name("migrations")
LOCK = 0x6C65746865  # "lethe": one migration at a time in a database
BOOKKEEPING = "migrations"


class DatabaseUnfit(Exception):
    """This database is not the one the program was made for; nothing was changed."""


async def migrate(url: str, *, namespace: str, only: Collection[str] | None = None) -> None:
    """Apply what is missing, or of that `only` these migrations, and give a new database its namespace.

    Safe to run in several processes at once, and to kill. Raises `DatabaseUnfit` for another namespace's
    database, and for one that a later release has migrated.
    """
    await asyncio.to_thread(_migrate, url, namespace, only)


async def needs_migration(url: str) -> bool:
    """Whether `migrate` has something to apply. Changes nothing."""
    return bool(_shipped().keys() - await asyncio.to_thread(applied_migrations, url))


async def check_namespace(url: str, *, namespace: str) -> None:
    """Raise `DatabaseUnfit` for another namespace's database. Changes nothing."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute("SELECT namespace FROM log.meta")).fetchone()
    _check(row, namespace)


class _Ledger(PostgresqlPsycopgBackend):  # type: ignore[misc]
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


def _migrate(url: str, namespace: str, only: Collection[str] | None) -> None:
    shipped = _shipped()
    if later := (applied_migrations(url) | set(only or ())) - shipped.keys():
        raise DatabaseUnfit(f"a later release has migrated this database ({max(later)})")
    ledger = _Ledger(url, default_migration_table)
    with closing(ledger.connection):
        for migration in sorted(ledger.to_apply(MigrationList(shipped.values())), key=lambda it: it.id):
            if only is not None and migration.id not in only:
                continue
            with ledger.transaction():
                # Whole: yoyo's splitter into statements does not know every function body.
                ledger.connection.execute(Path(migration.path).read_bytes())
                ledger.mark_one(migration, log=False)
        _claim(ledger.connection, namespace)


def _claim(connection: psycopg.Connection[Any], namespace: str) -> None:
    connection.execute("INSERT INTO log.meta (namespace) VALUES (%s) ON CONFLICT DO NOTHING", [namespace])
    row = connection.execute("SELECT namespace FROM log.meta").fetchone()
    _check(row, namespace)


def _check(row: tuple[Any, ...] | None, namespace: str) -> None:
    if row is None or row[0] != namespace:
        raise DatabaseUnfit(f"this database holds the namespace {row and row[0]!r}, not {namespace!r}")


def _shipped() -> dict[str, Any]:
    return {migration.id: migration for migration in read_migrations(str(FOLDER))}


def applied_migrations(url: str) -> set[str]:
    """The ids of the migrations that this database has seen. Blocks."""
    table = f"{BOOKKEEPING}.{default_migration_table}"
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
            return set()
        return {row[0] for row in connection.execute(f"SELECT migration_id FROM {table}")}  # noqa: S608
