"""One running product for all the tests of the HTTP door; each makes its own records in it."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from infra.postgres.embedded import EmbeddedPostgres
from tests.http.stack import Running, running


@pytest.fixture(scope="session")
def server(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    name = f"http_{uuid4().hex}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with running(postgres.url_of(name), tmp_path_factory.mktemp("http")) as it:
        yield it


@pytest.fixture(scope="session")
def api(server: Running) -> Iterator[httpx.Client]:
    """A client that may do everything."""
    with server.client() as client:
        yield client


@pytest.fixture
def created(api: httpx.Client) -> Any:
    """Create a record, and give back its answer: `created("customers", person())`."""

    def create(kind: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = api.post(f"/v1/{kind}", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return create


@pytest.fixture
def read(api: httpx.Client) -> Any:
    """Read what a command answered, once the views show it: `read("customers", answer)`."""

    def reading(kind: str, answer: dict[str, Any], **query: Any) -> httpx.Response:
        return api.get(f"/v1/{kind}/{answer['id']}", params={"at_least": answer["position"], **query})

    return reading
