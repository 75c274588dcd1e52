"""The event log as the use cases see it, on PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from infra.eventstore.appender import Appender
from infra.eventstore.committing import Pool, first_answers
from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage
from services.ports import CommandContext, Commit, History, Outcome, Refused, Unavailable

LOAD = """
SELECT originator_id, originator_version, topic, state, position
FROM log.events WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version
"""


class PostgresEventStore:
    """Implements `services.ports.EventStore`."""

    def __init__(self, pool: Pool, mapper: EventMapper, appender: Appender) -> None:
        self._pool = pool
        self._mapper = mapper
        self._appender = appender

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        """See the port. Raises `Unavailable` where a later release wrote what this one cannot decide on."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                rows = await (await cursor.execute(LOAD, [originator_id, after])).fetchall()
        if not rows:
            return History([], 0)
        stored = [StoredEvent(*it) for *it, _ in rows]
        return History(self._mapper.to_decide_on(stored), rows[-1][-1], stored[-1].state)

    async def append(self, commit: Commit) -> Outcome:
        return await self._appender.append(commit)

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome | Refused | Unavailable]:
        return await self._appender.append_all(commits)

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                [answer] = await first_answers(connection, [context])
        if isinstance(answer, Refused):
            raise answer
        return answer
