"""What the store of reports promises, in memory and in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from infra.history.reports import Report, ReportState, ReportStore
from infra.memory.reports import MemoryReports
from infra.postgres.database import open_pool
from infra.postgres.reports import PostgresReports


@asynccontextmanager
async def in_memory() -> AsyncIterator[ReportStore]:
    yield MemoryReports(lambda: datetime.now(UTC))


@asynccontextmanager
async def in_postgres(url: str) -> AsyncIterator[ReportStore]:
    pool = await open_pool(url, size=2)
    yield PostgresReports(pool)
    await pool.close()


@pytest.fixture(params=["memory", "postgres"])
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[ReportStore]:
    """A store not yet opened: the database starts outside the test's event loop."""
    if request.param == "memory":
        return in_memory()
    return in_postgres(request.getfixturevalue("database_url"))


@pytest.fixture
async def reports(opening: AbstractAsyncContextManager[ReportStore]) -> AsyncIterator[ReportStore]:
    async with opening as store:
        yield store


def report(days_ago: float = 0) -> Report:
    asked_at = datetime.now(UTC) - timedelta(days=days_ago)
    return Report(uuid4(), "pipeline", {"stage": "won"}, str(uuid4()), asked_at)


async def test_a_report_is_found_as_it_was_begun_and_as_far_as_it_is(reports: ReportStore) -> None:
    asked, other = report(), report()
    await reports.begin(asked)
    await reports.begin(other)
    assert await reports.find(asked.id) == asked
    assert await reports.beat(asked.id, 5, 9)
    assert await reports.find(asked.id) == replace(asked, done=5, total=9)
    assert await reports.result(asked.id) is None
    await reports.finish(asked.id, {"answer": {"count": 3}})
    assert await reports.result(asked.id) == {"answer": {"count": 3}}
    assert await reports.find(asked.id) == replace(asked, state=ReportState.DONE, done=9, total=9)
    assert await reports.find(other.id) == other
    assert await reports.find(uuid4()) is None


async def test_a_cancelled_report_is_worked_on_no_more_and_stays_so(reports: ReportStore) -> None:
    asked = report()
    await reports.begin(asked)
    assert await reports.end(asked.id, ReportState.CANCELLED)
    assert not await reports.beat(asked.id, 1, 2)
    await reports.finish(asked.id, {"answer": {}})
    assert await reports.result(asked.id) is None
    assert not await reports.end(asked.id, ReportState.FAILED)
    assert await reports.find(asked.id) == replace(asked, state=ReportState.CANCELLED)


async def test_a_report_that_is_worked_on_is_nobody_elses(reports: ReportStore) -> None:
    asked = report()
    await reports.begin(asked)
    assert not await reports.adopt(asked.id)
    assert not await reports.adopt(uuid4())


async def test_reports_of_more_than_a_week_ago_go(reports: ReportStore) -> None:
    old = report(days_ago=8)
    await reports.begin(old)
    await reports.begin(report())
    assert await reports.find(old.id) is None


async def test_a_report_that_nobody_works_on_is_adopted_once(database_url: str) -> None:
    pool = await open_pool(database_url, size=2)
    reports, asked = PostgresReports(pool), report()
    await reports.begin(asked)
    async with pool.connection() as connection:
        await connection.execute("UPDATE history.reports SET beat_at = now() - interval '11 s'")
    assert [await reports.adopt(asked.id) for _ in range(2)] == [True, False]
    await pool.close()
