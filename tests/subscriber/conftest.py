"""What the client's tests share: a store of each kind, a running product, and topics that its relay fills."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from lethe_subscriber import Api, HttpFeed, KafkaTopics, PostgreSQL, SQLite
from lethe_subscriber.sources import Source
from lethe_subscriber.stores import Store
from psycopg.conninfo import make_conninfo

from infra.kafka.broker import LocalBroker
from infra.kafka.relay import Relay
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.relay_lease import PostgresRelayLease
from tests.http.stack import Running, running

MakeStore = Callable[[str], Store[Any]]
MakeSource = Callable[[], Source]


@dataclass(frozen=True)
class Topics:
    """Where the relay of the running product publishes."""

    address: str
    namespace: str


@pytest.fixture(scope="session")
def own_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"own_{uuid4().hex}"
    # Not one connection for all the while: other tests may kill the server's processes meanwhile.
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url_of(name)
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql(own_database: str) -> str:
    """A PostgreSQL of a subscriber's own, empty, for this test."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(own_database, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return make_conninfo(own_database, options=f"-c search_path={name}")


@pytest.fixture(params=["sqlite", "postgresql"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes stores on one new database, with the author's tables."""
    if request.param == "sqlite":
        return lambda tables: SQLite(tmp_path / "own.db", tables)
    url: str = request.getfixturevalue("postgresql")
    return lambda tables: PostgreSQL(url, tables)


@pytest.fixture(scope="session")
def server(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    name = f"followed_{uuid4().hex}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with running(postgres.url_of(name), tmp_path_factory.mktemp("followed")) as it:
        yield it


@pytest.fixture(scope="session")
def api(server: Running) -> Iterator[httpx.Client]:
    """A client that may do everything."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def token(server: Running) -> str:
    return server.token()


@pytest.fixture(scope="session")
def topics(server: Running, broker: LocalBroker) -> Iterator[Topics]:
    """The topics of the running product, filled by its relay."""
    namespace = f"followed-{uuid4().hex}"
    system = server.system
    relay = Relay(system.reader, broker.address, namespace, PostgresRelayLease(system.database.url))
    stop = asyncio.Event()

    async def begin() -> asyncio.Task[None]:
        return asyncio.create_task(relay.run(stop))

    async def end(publishing: asyncio.Task[None]) -> None:
        stop.set()
        await publishing

    publishing = server.call(begin())
    # A consumer that comes before there are topics looks again after seconds only.
    deadline = time.monotonic() + 60
    while not relay.leading:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield Topics(broker.address, namespace)
    server.call(end(publishing))


@pytest.fixture(params=["feed", pytest.param("kafka", marks=pytest.mark.broker)])
def make_source(request: pytest.FixtureRequest, server: Running, token: str) -> MakeSource:
    """Makes sources of the running product's events."""
    if request.param == "feed":
        return lambda: HttpFeed(server.url, token)
    found: Topics = request.getfixturevalue("topics")
    group = f"group-{uuid4().hex}"
    return lambda: KafkaTopics(found.address, found.namespace, group=group, api=Api(server.url, token))
