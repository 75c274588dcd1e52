"""Row 8: a transaction draws a position, and then sits idle."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from infra.postgres.database import open_pool
from tests.eventlogs import PostgresLog, append_all, postgres_log, registrations

IDLE_SECONDS_MAX = 2
IDLE = UUID(int=1)
INSERT = b"""
INSERT INTO log.events (originator_id, originator_version, topic, state)
VALUES (%b, 1, 'lead.qualified', '') RETURNING position
"""


@pytest.fixture
async def log(database_url: str, tmp_path: Path) -> AsyncIterator[PostgresLog]:
    async with postgres_log(database_url, tmp_path) as it:
        yield it


async def test_every_connection_of_ours_ends_a_transaction_that_sits_idle(database_url: str) -> None:
    pool = await open_pool(database_url, size=1)
    async with pool.connection() as connection:
        cursor = await connection.execute("SHOW idle_in_transaction_session_timeout")
        assert await cursor.fetchone() == ("30s",)
    await pool.close()


async def test_the_reader_waits_says_so_and_is_freed_by_the_timeout(
    log: PostgresLog, database_url: str
) -> None:
    # As our own connections are set up, with a shorter patience.
    options = f"-c idle_in_transaction_session_timeout={IDLE_SECONDS_MAX}s"
    idle = await psycopg.AsyncConnection.connect(database_url, options=options)
    await idle.execute(INSERT, [IDLE])
    begun = time.monotonic()
    await append_all(log, registrations(5))
    assert await log.reader.read(0, 100) == [], "what was drawn after the idle one has overtaken it"
    waited = 0.0
    async with asyncio.timeout(60):
        while not (found := await log.reader.read(0, 100)):
            waited = max(waited, log.reader.fence_wait_seconds)
            await asyncio.sleep(0.05)
    freed = time.monotonic() - begun
    assert len(found) == 5
    assert IDLE not in {it.originator_id for it in found}
    assert waited > 1, "the metric says nothing of it"
    assert freed >= IDLE_SECONDS_MAX * 0.9
    print(
        f"\nrow 8: readers waited {freed:.1f} s, the metric said up to {waited:.1f} s; then all 5 events came"
    )
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        await idle.execute("SELECT 1")
    await idle.close()
