"""The log's requests for erasure, found through an index of their own."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Notification
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage
from services.ports import Recorded

EVENTS = "SELECT originator_id, originator_version, topic, state, position FROM log.events"
REQUESTS = EVENTS + " AS request WHERE topic = 'erasure.requested'"
ONE = REQUESTS + " AND originator_id = %s"
UNFINISHED = (
    REQUESTS
    + """ AND NOT EXISTS (
        SELECT FROM log.events AS done
        WHERE done.originator_id = request.originator_id AND done.topic = 'subject.erased'
    ) ORDER BY position
"""
)
UNSEALED = (
    EVENTS
    + """ AS done WHERE topic = 'subject.erased' AND NOT EXISTS (
        SELECT FROM log.events AS sealed
        WHERE sealed.originator_id = done.originator_id AND sealed.topic = 'erasure.sealed'
    ) ORDER BY position
"""
)


class PostgresErasureJournal:
    """Implements `services.erasures.ErasureJournal`."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], mapper: EventMapper) -> None:
        self._pool = pool
        self._mapper = mapper

    async def request(self, erasure_id: UUID) -> Recorded | None:
        found = await self._find(ONE, erasure_id)
        return found[0] if found else None

    async def unfinished(self) -> Sequence[Recorded]:
        return await self._find(UNFINISHED)

    async def unsealed(self) -> Sequence[Recorded]:
        return await self._find(UNSEALED)

    async def _find(self, query: str, *values: UUID) -> list[Recorded]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                rows = await (await connection.execute(query.encode(), values)).fetchall()
        return [self._mapper.to_domain_event(Notification(*row)) for row in rows]
