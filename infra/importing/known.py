"""Which commands the log has already, asked for many at once."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.outage import unavailable_on_outage


async def known_commands(
    pool: AsyncConnectionPool[AsyncConnection[Any]], ids: Collection[UUID]
) -> Mapping[UUID, bytes]:
    """The request digest of each known command. Raises `Unavailable`."""
    with unavailable_on_outage():
        async with pool.connection() as connection:
            found = await connection.execute(
                "SELECT command_id, request_digest FROM log.commands WHERE command_id = ANY(%s)", [list(ids)]
            )
            return {row[0]: bytes(row[1]) for row in await found.fetchall()}
