"""The right to be the one that does a thing: an advisory lock, and the connection that it lives on.

Whoever loses the lock has lost the connection too, and with it the means to write under it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection

from infra.outage import unavailable_on_outage
from services.ports import Unavailable

# A holder whose machine is gone is noticed after 6 s; one whose process died, at once.
KEEPALIVE = "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
SILENCE_MILLISECONDS_MAX = 15_000


class AdvisoryLease:
    """Held by one process of a database at a time."""

    def __init__(self, url: str, name: str, lock: int) -> None:
        """`lock` is the number that PostgreSQL knows it by."""
        self._url = url
        self._name = name
        self._lock = lock
        self._connection: AsyncConnection[Any] | None = None

    async def acquire(self) -> bool:
        """Take it if nobody has it. Raises `Unavailable`."""
        with unavailable_on_outage():
            if self._connection is None:
                self._connection = await AsyncConnection.connect(
                    self._url,
                    autocommit=True,
                    application_name=f"lethe {self._name}",
                    connect_timeout=5,
                    tcp_user_timeout=SILENCE_MILLISECONDS_MAX,
                    prepare_threshold=0,
                    options=KEEPALIVE,
                )
            cursor = await self._connection.execute("SELECT pg_try_advisory_lock(%s)", [self._lock])
            row = await cursor.fetchone()
        return bool(row and row[0])

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """The connection that holds it. Raises `Unavailable`, also from the block, once it is lost."""
        if self._connection is None:
            raise Unavailable(f"the lease to be the {self._name} is not held")
        try:
            with unavailable_on_outage():
                yield self._connection
        except psycopg.InterfaceError as error:
            raise Unavailable(f"the lease to be the {self._name} is lost") from error

    async def release(self) -> None:
        """Let another take it. May be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
