"""Snapshots of long records in PostgreSQL: read with what came since, written beside the commands."""

import asyncio
import hashlib
import hmac
from collections import deque
from typing import Any, Final
from uuid import UUID

import structlog
from eventsourcing.persistence import StoredEvent
from psycopg import Error

from domain.model import Aggregate
from infra.eventstore.committing import Pool
from infra.eventstore.mapper import EventMapper
from infra.eventstore.snapshotform import decoded, encoded, form
from infra.outage import unavailable_on_outage
from services.ports import DataKey, History

log = structlog.get_logger(__name__)

WAITING_MAX: Final = 512
SEALED_AS: Final = b"lethe/snapshot/1\0"
STATE, POSITION = 3, 4
"""Where those stand in an event's row."""
NO_FORM: Final = b""
"""No snapshot is of it: who asks for it gets all events."""

# The last event that a snapshot knows comes with it; all events where there is none.
SINCE = """
SELECT it.version, CASE WHEN originator_version = it.version THEN it.state END, it.seal,
       event.originator_id, originator_version, topic, event.state, position
FROM (SELECT %s::uuid AS id) AS wanted
LEFT JOIN log.snapshots AS it ON it.originator_id = wanted.id AND it.form = %s
LEFT JOIN log.events AS event
    ON event.originator_id = wanted.id AND originator_version >= coalesce(it.version, 1)
ORDER BY originator_version
"""
# Where two processes are at it, the one that knows more wins.
KEEP = """
INSERT INTO log.snapshots AS it (originator_id, version, form, state, seal) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (originator_id) DO UPDATE
SET version = excluded.version, form = excluded.form, state = excluded.state, seal = excluded.seal
WHERE it.version < excluded.version OR it.form <> excluded.form
"""
DROP = "DELETE FROM log.snapshots WHERE originator_id = %s AND seal = %s"


class PostgresAggregateSnapshots:
    """Implements `services.ports.AggregateSnapshots`. Belongs to one event loop.

    `key` seals them: nobody makes one who only writes to the database, and one that a changed bit, or a log
    that came back from a copy, has parted from its last event is thrown away.
    """

    KEY_NAME: Final = "snapshots"

    def __init__(self, pool: Pool, mapper: EventMapper, key: DataKey) -> None:
        self._pool = pool
        self._mapper = mapper
        self._key = key
        self._form = form()
        self._waiting: deque[tuple[str, list[Any]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def load(self, originator_id: UUID) -> History:
        """See the port. Raises `Unavailable` where a later release wrote what this one cannot decide on."""
        rows = await self._rows(originator_id, self._form)
        version, state, seal, *first = rows[0]
        snapshot = None
        if version is not None:
            if state is not None and hmac.compare_digest(
                seal, self._seal(originator_id, version, state, first[STATE])
            ):
                snapshot = decoded(state, originator_id, version)
            else:
                log.warning("snapshot_unfit", record=originator_id, version=version)
                self._later(DROP, originator_id, seal)
                rows = await self._rows(originator_id, NO_FORM)
        stored = [StoredEvent(*it[:POSITION]) for _, _, _, *it in rows if it[POSITION] is not None]
        if not stored:
            return History([], 0)
        return History(self._mapper.to_decide_on(stored), rows[-1][-1], stored[-1].state, snapshot)

    def keep(self, aggregate: Aggregate, last: bytes) -> None:
        """See the port."""
        try:
            state = encoded(aggregate)
        except TypeError as error:
            log.error("snapshot_not_written", record=aggregate.id, exc_info=error)
            return
        seal = self._seal(aggregate.id, aggregate.version, state, last)
        self._later(KEEP, aggregate.id, aggregate.version, self._form, state, seal)

    async def close(self) -> None:
        """Write what waits to be written."""
        if self._writing is not None:
            await self._writing

    def _seal(self, id: UUID, version: int, state: bytes, last: bytes) -> bytes:
        parts = (SEALED_AS, self._form, id.bytes, version.to_bytes(8), hashlib.sha256(last).digest(), state)
        return hmac.digest(self._key.secret, b"".join(parts), hashlib.sha256)

    async def _rows(self, originator_id: UUID, form: bytes) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                cursor = connection.cursor(binary=True)
                return await (await cursor.execute(SINCE, [originator_id, form])).fetchall()

    def _later(self, statement: str, *values: Any) -> None:
        if len(self._waiting) == WAITING_MAX:
            return
        self._waiting.append((statement, list(values)))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="snapshots")

    async def _write(self) -> None:
        """One by one, in a transaction each: no other waits, and the log's readers' fence hardly."""
        while self._waiting:
            statement, values = self._waiting.popleft()
            try:
                async with self._pool.connection() as connection:
                    await connection.execute(statement.encode(), values)
            except Error as error:
                # Only speed is lost: the next one who reads the whole record tries again. What else waits
                # goes too: a database that is away would be waited for with each, and by who closes.
                log.warning("snapshot_not_written", record=values[0], exc_info=error)
                self._waiting.clear()
