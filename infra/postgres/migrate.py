"""Brings a database to the present schema: plain numbered SQL files, each applied once, in order.

yoyo reads the files and keeps the list of those applied. Its lock is a row that a killed process leaves
behind, and it commits a migration before it lists it; so an advisory lock is held here instead, and a
file and its entry in the list are one transaction.
"""

import asyncio
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

FOLDER = Path(__file__).with_name("migrations")
APPLIED = "migrations._yoyo_migration"


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
    return bool(_shipped() - await asyncio.to_thread(applied_migrations, url))


async def check_namespace(url: str, *, namespace: str) -> None:
    """Raise `DatabaseUnfit` for another namespace's database. Changes nothing."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute("SELECT namespace FROM log.meta")).fetchone()
    _check(row, namespace)


def _migrate(url: str, namespace: str, only: Collection[str] | None) -> None:
    if later := (applied_migrations(url) | set(only or ())) - _shipped():
        raise DatabaseUnfit(f"a later release has migrated this database ({max(later)})")
    # Here: it loads yoyo, which nothing else needs.
    from infra.postgres.migrationlist import ledger_of, missing

    ledger = ledger_of(url)
    with closing(ledger.connection):
        for migration in missing(ledger, FOLDER):
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


def _shipped() -> set[str]:
    return {file.stem for file in FOLDER.glob("*.sql")}


def applied_migrations(url: str) -> set[str]:
    """The ids of the migrations that this database has seen. Blocks."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass(%s)", [APPLIED]).fetchone() == (None,):
            return set()
        return {row[0] for row in connection.execute(f"SELECT migration_id FROM {APPLIED}")}  # noqa: S608
