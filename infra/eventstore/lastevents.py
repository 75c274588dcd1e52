"""How records ended so far, asked of the log in one question."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.model import Event
from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage

LAST = """
SELECT found.* FROM unnest(%b::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT originator_id, originator_version, topic, state FROM log.events
    WHERE originator_id = wanted.id ORDER BY originator_version DESC LIMIT 1
) AS found
"""


class PostgresLastEvents:
    """Implements `services.lawfulness.LastEvents`."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], mapper: EventMapper) -> None:
        self._pool = pool
        self._mapper = mapper

    async def last_of(self, ids: Collection[UUID]) -> Mapping[UUID, Event]:
        """See the port. Raises `Unavailable` where a later release wrote what this one cannot decide on."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                rows = await (await cursor.execute(LAST, [list(ids)])).fetchall()
        events = self._mapper.to_decide_on(StoredEvent(*row) for row in rows)
        return {event.originator_id: event for event in events}
