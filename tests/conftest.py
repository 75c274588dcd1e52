"""What tests share: one PostgreSQL, a migrated database a test, one Kafka broker, the real input files."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from infra.kafka.broker import LocalBroker, obstacle
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate

REPOSITORY = Path(__file__).parents[1]
TEMPLATE = "lethe_template"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in it is made that is ours alone
ROOM_BYTES_MIN = 6 * 2**30
NAMESPACE = "main"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for the session, as durable as in production."""
    # Not in pytest's folder: each session closes that to others, and the server may run as another user.
    with (
        tempfile.TemporaryDirectory(prefix="lethe-test-", dir=_roomy_memory()) as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        yield server


def _roomy_memory() -> Path | None:
    """A file system in memory, where there is one with room: a thousand databases are made and dropped.

    Nothing here pulls the plug of the machine: whatever is killed finds its files as on any disk.
    """
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES_MIN:
        return MEMORY
    return None


@pytest.fixture(scope="session")
def _template(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    _administer(postgres, "CREATE DATABASE {}", TEMPLATE)
    asyncio.run(migrate(postgres.url_of(TEMPLATE), namespace=NAMESPACE))
    return postgres


@pytest.fixture
def database_url(_template: EmbeddedPostgres) -> Iterator[str]:
    """A migrated, empty database of the namespace `main`, for this test alone."""
    name = f"test_{uuid4().hex}"
    _administer(_template, "CREATE DATABASE {} TEMPLATE {}", name, TEMPLATE)
    yield _template.url_of(name)
    _administer(_template, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """One Kafka broker for the session; tests keep apart by namespaces of their own."""
    if reason := obstacle():
        _do_without(reason)
    local = LocalBroker(tmp_path_factory.mktemp("broker"))
    local.start()
    yield local
    local.kill()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real input files, `shared/data` beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder shared/data beside the checkout")
    return folder


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("LETHE_REQUIRE_ALL") == "1":
        pytest.fail(f"LETHE_REQUIRE_ALL is set, but {reason}")
    pytest.skip(reason)


def _administer(server: EmbeddedPostgres, statement: str, *names: str) -> None:
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
