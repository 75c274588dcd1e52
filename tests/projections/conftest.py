"""The worlds that the views are tried in."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from tests.projections.worlds import World, kafka_world, memory_world, postgres_world


@pytest.fixture(params=["memory", "log", pytest.param("kafka", marks=pytest.mark.broker)])
def opening(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[World]:
    """A world not yet opened: the database and the broker start outside the test's event loop."""
    if request.param == "memory":
        return memory_world()
    url = request.getfixturevalue("database_url")
    if request.param == "log":
        return postgres_world(url)
    return kafka_world(url, request.getfixturevalue("broker"))


@pytest.fixture(params=["memory", "log"])
def opening_log(request: pytest.FixtureRequest) -> AbstractAsyncContextManager[World]:
    """The same without Kafka, for what reads the log itself."""
    if request.param == "memory":
        return memory_world()
    return postgres_world(request.getfixturevalue("database_url"))


@pytest.fixture
async def log_world(opening_log: AbstractAsyncContextManager[World]) -> AsyncIterator[World]:
    """Commands and views: all in memory; in PostgreSQL following the log."""
    async with opening_log as it:
        yield it


@pytest.fixture
async def world(opening: AbstractAsyncContextManager[World]) -> AsyncIterator[World]:
    """Commands and views: all in memory; in PostgreSQL following the log; in PostgreSQL fed from Kafka."""
    async with opening as it:
        yield it
