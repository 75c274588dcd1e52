"""The relay's lease: an advisory lock that PostgreSQL lets go as soon as its holder's connection is gone.

A holder that is stopped keeps its connection, which its kernel goes on to answer for: so PostgreSQL ends also
the connection of one that has not said anything for `SILENT_SECONDS_MAX`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection

from infra.outage import unavailable_on_outage
from services.ports import Unavailable

LOCK = 0x72656C6179  # "relay": one publishes at a time in a database
ANSWER_SECONDS_MAX = 3.0
SILENT_SECONDS_MAX = 5

# A holder whose machine is gone is noticed after 6 s; one whose process died, at once.
KEEPALIVE: LiteralString = (
    "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;"
)
SILENCE: LiteralString = f"SET idle_session_timeout = '{SILENT_SECONDS_MAX}s'"
# The checkpoint may lag, and a lost one costs a look at the topics: nobody waits for its disk.
LAZY: LiteralString = "SET synchronous_commit = off"


class PostgresRelayLease:
    """Lock and checkpoint on one connection of their own: who lost the lock cannot move the checkpoint."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: AsyncConnection[Any] | None = None
        self._held_until = 0.0

    async def acquire(self) -> bool:
        """Take the lease if nobody has it. Raises `Unavailable`."""
        with unavailable_on_outage():
            if self._connection is None:
                self._connection = await AsyncConnection.connect(
                    self.url, autocommit=True, application_name="lethe relay", connect_timeout=5
                )
                await self._connection.execute(KEEPALIVE)
                await self._connection.execute(LAZY)
                await self._connection.execute(SILENCE)
        asked = time.monotonic()
        row = await self._fetch("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if row is None or not row[0]:
            return False
        self._held_until = asked + SILENT_SECONDS_MAX
        return True

    def held(self) -> bool:
        """Whether nobody else can have it by now, unless the connection was ended at its other end."""
        return time.monotonic() < self._held_until

    async def confirm(self) -> None:
        """Raises `Unavailable` if the lease is lost."""
        asked = time.monotonic()
        await self._fetch("SELECT 1")
        self._held_until = asked + SILENT_SECONDS_MAX

    async def checkpoint(self, place: str) -> int:
        """The position up to which this place has everything; 0 for one not seen before."""
        row = await self._fetch("SELECT position FROM log.relay WHERE place = %s", [place])
        return int(row[0]) if row else 0

    async def advance(self, place: str, position: int) -> None:
        """Move the checkpoint of this place."""
        await self._fetch(
            "INSERT INTO log.relay AS it (place, position) VALUES (%s, %s) ON CONFLICT (place)"
            " DO UPDATE SET position = excluded.position, updated_at = now() RETURNING position",
            [place, position],
        )

    async def release(self) -> None:
        """Let another take it: the connection, and the lock with it, is gone."""
        connection, self._connection = self._connection, None
        self._held_until = 0.0
        if connection is not None:
            await connection.close()

    async def _fetch(
        self, query: LiteralString, parameters: list[Any] | None = None
    ) -> tuple[Any, ...] | None:
        connection = self._connection
        if connection is None:
            raise Unavailable("the relay's lease is not held")
        async with self._answering():
            cursor = await connection.execute(query, parameters, prepare=True)
            row: tuple[Any, ...] | None = await cursor.fetchone()
        return row

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            with unavailable_on_outage():
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    yield
        except (TimeoutError, psycopg.InterfaceError) as error:
            raise Unavailable("the relay's lease does not answer") from error
