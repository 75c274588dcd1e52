"""An advisory lock held on a pool's connection, which never goes back to the pool with the lock on it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.postgres.database import Pool


@asynccontextmanager
async def advisory_lock(pool: Pool, lock: int, every: float | None = None) -> AsyncIterator[bool]:
    """Whether the lock is ours in the block; with `every`, it is: asked for each so many seconds until then.

    `lock` is the number that PostgreSQL knows it by. It goes with the connection, should that break.
    """
    async with pool.connection() as connection:
        try:
            while True:
                cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [lock])
                mine = await cursor.fetchone() == (True,)
                if mine or every is None:
                    break
                await asyncio.sleep(every)
        except BaseException:
            # Cancelled while it asked, it may have been given the lock: closed, it takes none to the pool.
            await connection.close()
            raise
        try:
            yield mine
        finally:
            if mine and not connection.broken:
                try:
                    await connection.execute("SELECT pg_advisory_unlock(%s)", [lock])
                except BaseException:
                    await connection.close()
                    raise
