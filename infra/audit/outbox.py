"""What of the checkpoints has not been taken to a place outside yet, and the right to take it there."""

from typing import Final, LiteralString, NamedTuple

from infra.audit.lease import AdvisoryLease

LOCK: Final = 0x6C65_7468_6503

PENDING: LiteralString = """
SELECT change, log, note FROM audit.checkpoints
WHERE change > coalesce((SELECT change FROM audit.published WHERE place = %s), 0) ORDER BY change LIMIT %s
"""
TOOK: LiteralString = """
INSERT INTO audit.published AS it (place, change) VALUES (%s, %s)
ON CONFLICT (place) DO UPDATE SET change = excluded.change WHERE it.change < excluded.change
"""


class Outgoing(NamedTuple):
    """A checkpoint that was made or cosigned. `change` tells how far one has come."""

    change: int
    log: str
    note: str


class PostgresOutbox:
    """Checkpoints for places outside. Each method raises `Unavailable` once the lease is lost."""

    def __init__(self, url: str) -> None:
        self._lease = AdvisoryLease(url, "checkpoint relay", LOCK)

    async def acquire(self) -> bool:
        """Become the one that takes them, if nobody is."""
        return await self._lease.acquire()

    async def pending(self, place: str, limit: int) -> list[Outgoing]:
        """The next that this place does not have."""
        async with self._lease.connection() as connection:
            cursor = await connection.execute(PENDING, [place, limit])
            return [Outgoing(*row) for row in await cursor.fetchall()]

    async def took(self, place: str, change: int) -> None:
        """This place has everything up to this change."""
        async with self._lease.connection() as connection:
            await connection.execute(TOOK, [place, change])

    async def release(self) -> None:
        """Let another take them. May be repeated."""
        await self._lease.release()
