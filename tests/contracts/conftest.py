"""The log on PostgreSQL and its in-memory twin, for contracts that both are held to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.eventlogs import Log, memory_log, postgres_log


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    """The database's; None: in memory."""
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def log(url: str | None, tmp_path: Path) -> AsyncIterator[Log]:
    if url is None:
        yield memory_log()
        return
    async with postgres_log(url, tmp_path) as it:
        yield it
