"""The pool's connections."""

import asyncio

import pytest

from infra.postgres.database import open_pool

STATEMENTS = 8
LENGTH = 5_000_000


@pytest.mark.parametrize("length", [1_000, 300_000, LENGTH])
async def test_a_long_statement_in_a_pipeline_is_sent_whole(database_url: str, length: int) -> None:
    pool = await open_pool(database_url, size=1)
    try:
        async with asyncio.timeout(30), pool.connection() as connection, connection.pipeline() as pipeline:
            cursors = [
                await connection.execute("SELECT length(%s)", [b"x" * length]) for _ in range(STATEMENTS)
            ]
            await pipeline.sync()
            assert [await cursor.fetchone() for cursor in cursors] == [(length,)] * STATEMENTS
    finally:
        await pool.close()
