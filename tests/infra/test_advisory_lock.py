"""An advisory lock on a pool's connection."""

import asyncio

import pytest
from psycopg import AsyncConnection

from infra.postgres.advisory import advisory_lock
from infra.postgres.database import Pool, open_pool

LOCK = 0x6C657468657E57
TURNS = 60
PAUSE_SECONDS = 0.0001


async def until_free(connection: AsyncConnection) -> None:
    async with asyncio.timeout(30):
        await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        await connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


async def hold(pool: Pool, taken: asyncio.Event) -> None:
    async with advisory_lock(pool, LOCK, every=0.01) as mine:
        assert mine
        taken.set()


async def test_whoever_is_cancelled_at_any_point_leaves_no_lock_in_the_pool(database_url: str) -> None:
    pool, taken = await open_pool(database_url, size=2), asyncio.Event()
    async with await AsyncConnection.connect(database_url, autocommit=True) as other:
        try:
            for turns in range(TURNS):
                task = asyncio.create_task(hold(pool, taken))
                await asyncio.sleep(turns * PAUSE_SECONDS)
                task.cancel()
                await asyncio.wait({task}, timeout=30)
                assert task.done()
                await until_free(other)
            assert taken.is_set()
        finally:
            await pool.close()


async def test_only_one_has_it_and_the_next_has_it_after(database_url: str) -> None:
    pool = await open_pool(database_url, size=2)
    try:
        async with advisory_lock(pool, LOCK) as mine, advisory_lock(pool, LOCK) as second:
            assert (mine, second) == (True, False)
        async with advisory_lock(pool, LOCK) as mine:
            assert mine
    finally:
        await pool.close()


async def test_who_waits_for_it_has_it_once_it_is_let_go(database_url: str) -> None:
    pool, taken = await open_pool(database_url, size=2), asyncio.Event()
    try:
        async with advisory_lock(pool, LOCK) as mine:
            assert mine
            waiting = asyncio.create_task(hold(pool, taken))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(taken.wait(), 0.1)
        await asyncio.wait_for(waiting, 30)
        assert taken.is_set()
    finally:
        await pool.close()
