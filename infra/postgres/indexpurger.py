"""Takes an erased person out of the blind index."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.outage import unavailable_on_outage


class PostgresIndexPurger:
    """Implements `services.ports.IndexPurger`.

    Once the fence is up no row comes back: whoever writes one asks `keys.hold_living` in its transaction.
    """

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def purge(self, subject_id: UUID) -> None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(
                    "DELETE FROM directory.blind_index WHERE subject_id = %s", (subject_id,)
                )
