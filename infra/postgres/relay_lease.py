"""The relay's lease: an advisory lock that PostgreSQL lets go as soon as its holder's connection is gone.

A holder that is stopped keeps its connection, which its kernel goes on to answer for: so PostgreSQL ends also
the connection of one that has not said anything for `SILENT_SECONDS_MAX`.
"""

import os
import time
from collections.abc import Collection, Mapping
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection

from infra.outage import answering, unavailable_on_outage
from infra.postgres.partitions import record_partitions
from services.ports import Unavailable

LOCK = 0x72656C6179  # "relay": one publishes at a time in a database
ANSWER_SECONDS_MAX = 3.0
SILENT_SECONDS_MAX = 4

# A holder whose machine is gone is noticed after 6 s; one whose process died, at once.
KEEPALIVE: LiteralString = (
    "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;"
)
SILENCE: LiteralString = "SELECT set_config('idle_session_timeout', %s, false)"
# The checkpoint may lag, and a lost one costs a look at the topics: nobody waits for its disk.
LAZY: LiteralString = "SET synchronous_commit = off"
DRAWN: LiteralString = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM log.positions"
BIRTHS: LiteralString = """
SELECT id, position FROM unnest(%s::uuid[]) AS wanted (id), LATERAL (
    SELECT position FROM log.events WHERE originator_id = id ORDER BY originator_version LIMIT 1
) AS first
"""


class PostgresRelayLease:
    """Lock and checkpoint on one connection of their own: who lost the lock cannot move the checkpoint."""

    def __init__(self, url: str, *, silent_seconds_max: float = SILENT_SECONDS_MAX) -> None:
        self.url = url
        self.silent_seconds_max = silent_seconds_max
        self._connection: AsyncConnection[Any] | None = None
        self._held_until = 0.0

    async def acquire(self) -> bool:
        """Take the lease if nobody has it. Raises `Unavailable`."""
        with unavailable_on_outage():
            if self._connection is None:
                self._connection = await AsyncConnection.connect(
                    self.url,
                    autocommit=True,
                    application_name=f"lethe relay {os.getpid()}",
                    connect_timeout=5,
                )
                await self._connection.execute(KEEPALIVE)
                await self._connection.execute(LAZY)
                await self._connection.execute(SILENCE, [f"{self.silent_seconds_max:.1f}s"])
        asked = time.monotonic()
        row = await self._fetch("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if row is None or not row[0]:
            return False
        self._held_until = asked + self.silent_seconds_max
        return True

    def held(self) -> bool:
        """Whether nobody else can have it by now, unless the connection was ended at its other end."""
        return time.monotonic() < self._held_until

    async def confirm(self) -> None:
        """Raises `Unavailable` if the lease is lost."""
        asked = time.monotonic()
        await self._fetch("SELECT 1")
        self._held_until = asked + self.silent_seconds_max

    async def checkpoint(self, place: str) -> int:
        """The position up to which this place has everything; 0 for one not seen before."""
        row = await self._fetch("SELECT position FROM log.relay WHERE place = %s", [place])
        return int(row[0]) if row else 0

    async def advance(self, place: str, position: int) -> None:
        """Move the checkpoint of this place."""
        await self._fetch(
            "INSERT INTO log.relay AS it (place, position) VALUES (%s, %s) ON CONFLICT (place) DO UPDATE"
            " SET position = excluded.position, updated_at = now(), fault = NULL RETURNING position",
            [place, position],
        )

    async def report(self, place: str, fault: str) -> None:
        """Show that nothing is published to this place, and why."""
        await self._fetch(
            "INSERT INTO log.relay AS it (place, position, fault) VALUES (%s, 0, %s) ON CONFLICT (place)"
            " DO UPDATE SET fault = excluded.fault, updated_at = now() RETURNING position",
            [place, fault],
        )

    async def drawn(self) -> int:
        """The last position that the log has given out."""
        row = await self._fetch(DRAWN)
        return int(row[0]) if row else 0

    async def partitions(
        self, topics: Collection[tuple[str, str, int]]
    ) -> Mapping[str, list[tuple[int, int]]]:
        """See `record_partitions`."""
        connection = self._held_connection()
        async with answering(ANSWER_SECONDS_MAX, "the relay's lease"):
            return await record_partitions(connection, topics, growth=True)

    async def births(self, ids: Collection[UUID | str]) -> Mapping[UUID | str, int]:
        """The positions of the first events of these aggregates."""
        connection = self._held_connection()
        async with answering(ANSWER_SECONDS_MAX, "the relay's lease"):
            cursor = await connection.execute(BIRTHS, [list(ids)], prepare=True)
            return dict(await cursor.fetchall())

    async def release(self) -> None:
        """Let another take it: the connection, and the lock with it, is gone."""
        connection, self._connection = self._connection, None
        self._held_until = 0.0
        if connection is not None:
            await connection.close()

    async def _fetch(
        self, query: LiteralString, parameters: list[Any] | None = None
    ) -> tuple[Any, ...] | None:
        connection = self._held_connection()
        async with answering(ANSWER_SECONDS_MAX, "the relay's lease"):
            cursor = await connection.execute(query, parameters, prepare=True)
            row: tuple[Any, ...] | None = await cursor.fetchone()
        return row

    def _held_connection(self) -> AsyncConnection[Any]:
        if self._connection is None:
            raise Unavailable("the relay's lease is not held")
        return self._connection
