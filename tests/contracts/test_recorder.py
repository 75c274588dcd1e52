"""The library's own contract for recorders, on ours and on two of the library's."""

from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from eventsourcing.persistence import ApplicationRecorder
from eventsourcing.popo import POPOApplicationRecorder
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.tests.persistence import ApplicationRecorderTestCase
from psycopg_pool import ConnectionPool

from infra.eventstore.recorder import PostgresRecorder


@pytest.fixture
def ours(database_url: str) -> Iterator[PostgresRecorder]:
    with ConnectionPool(database_url, min_size=1, max_size=16, kwargs={"autocommit": True}) as pool:
        yield PostgresRecorder(cast("ConnectionPool[psycopg.Connection[Any]]", pool))


@pytest.fixture
def stock(database_url: str) -> Iterator[PostgresApplicationRecorder]:
    url = urlsplit(database_url)
    with PostgresDatastore(
        dbname=url.path.lstrip("/"),
        host=url.hostname or parse_qs(url.query)["host"][0],
        port=url.port or 5432,
        user=url.username or "",
        password=url.password or "",
        pool_size=4,  # a subscription keeps one to listen on
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore, events_table_name="stock_events")
        recorder.create_table()
        yield recorder


@pytest.fixture(params=["ours", "stock", "popo"])
def recorder(request: pytest.FixtureRequest) -> ApplicationRecorder:
    if request.param == "popo":
        return POPOApplicationRecorder()
    return cast("ApplicationRecorder", request.getfixturevalue(request.param))


class Contract(ApplicationRecorderTestCase[ApplicationRecorder]):
    """The library's test case as a bundle of checks, each run on one recorder."""

    def __init__(self, check: str, recorder: ApplicationRecorder) -> None:
        super().__init__(check)
        self._recorder = recorder

    def create_recorder(self) -> ApplicationRecorder:
        return self._recorder


Contract.__test__ = False  # type: ignore[attr-defined]  # only by the tests below


CHECKS: list[str] = [
    "test_insert_select",
    "test_concurrent_no_conflicts",
    "test_concurrent_throughput",
    "optional_test_insert_subscribe",
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_recorder_keeps_the_librarys_contract(recorder: ApplicationRecorder, check: str) -> None:
    getattr(Contract(check, recorder), check)()
