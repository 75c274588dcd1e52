"""Migrations: applied once, by any number of processes, in one namespace's database."""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from uuid import uuid4

import psycopg
import pytest

from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import FOLDER, DatabaseUnfit, _migrate, migrate, needs_migration
from infra.postgres.migrationlist import ledger_of


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _applied(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT migration_id FROM migrations._yoyo_migration ORDER BY 1")
        return [row[0] for row in rows]


async def test_a_new_database_needs_migration_once(empty_url: str) -> None:
    assert await needs_migration(empty_url)
    await migrate(empty_url, namespace="here")
    assert not await needs_migration(empty_url)
    await migrate(empty_url, namespace="here")
    assert _applied(empty_url) == sorted(path.stem for path in FOLDER.glob("*.sql"))


def test_several_processes_migrate_at_once(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_migrate, args=(empty_url, "here", None)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert _applied(empty_url) == sorted(path.stem for path in FOLDER.glob("*.sql"))


async def test_another_namespaces_database_is_refused(empty_url: str) -> None:
    await migrate(empty_url, namespace="here")
    with pytest.raises(DatabaseUnfit, match="'here', not 'there'"):
        await migrate(empty_url, namespace="there")


async def test_a_database_of_a_later_release_is_refused(empty_url: str) -> None:
    await migrate(empty_url, namespace="here")
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "INSERT INTO migrations._yoyo_migration VALUES ('a hash', '9999_from_the_future', now())"
        )
    with pytest.raises(DatabaseUnfit, match="9999_from_the_future"):
        await migrate(empty_url, namespace="here")


async def test_a_migration_that_fails_leaves_nothing_and_may_be_tried_again(
    empty_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("migrations")
    first = folder / "0001_first.sql"
    first.write_text("CREATE SCHEMA log; CREATE TABLE log.meta (namespace text PRIMARY KEY); SELECT 1 / 0;")
    monkeypatch.setattr("infra.postgres.migrate.FOLDER", folder)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty_url, namespace="here")
    assert _applied(empty_url) == []
    first.write_text("CREATE SCHEMA log; CREATE TABLE log.meta (namespace text PRIMARY KEY);")
    await migrate(empty_url, namespace="here")
    assert _applied(empty_url) == ["0001_first"]


async def test_a_killed_migration_leaves_no_lock(empty_url: str) -> None:
    await migrate(empty_url, namespace="here")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold_the_lock, args=(empty_url, ready))
    holder.start()
    assert ready.wait(30)
    holder.kill()
    holder.join()
    await migrate(empty_url, namespace="here")


def _hold_the_lock(url: str, ready: Event) -> None:
    ledger = ledger_of(url)
    ready.set()
    time.sleep(600)
    ledger.connection.close()
