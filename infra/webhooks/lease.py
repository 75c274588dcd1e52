"""Who sends to which endpoint: a group of processes that share them out, each endpoint with one at a time.

Locks and progress live on one connection: who has lost the locks cannot move the progress any more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import AsyncConnection

from infra.outage import answering, unavailable_on_outage
from infra.webhooks.answers import Answer
from infra.webhooks.endpoints import Endpoint
from services.ports import Unavailable

LOCK: Final = 0x77656268  # "webh": the first half of every endpoint's lock; the second is its id's hash
MEMBERS: Final = 0x7765626D  # "webm": each member has it, shared, so that they can be counted
ANSWER_SECONDS_MAX: Final = 5.0
SILENCE_MILLISECONDS_MAX: Final = 15_000
# A holder whose machine is gone is noticed after 6 s; one whose process died, at once. And progress may lag:
# what is lost of it is sent again, so nobody waits for its disk.
OPTIONS: Final = (
    "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
    " -c synchronous_commit=off"
)
COUNT: LiteralString = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s::bigint::oid AND objid = 0 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
BEGUN: LiteralString = "SELECT begun, revived, cursor FROM webhooks.deliveries WHERE webhook_id = %s"
BLOCKED: LiteralString = """
SELECT originator_id, version, position, attempts, failed_since, next_attempt_at, of_endpoint
FROM webhooks.blocked WHERE webhook_id = %s
"""
BEGIN: LiteralString = """
WITH gone AS (DELETE FROM webhooks.blocked WHERE webhook_id = %(id)s AND position > %(kept)s)
INSERT INTO webhooks.deliveries AS it (webhook_id, begun, revived, cursor)
VALUES (%(id)s, %(told)s, %(revived)s, %(cursor)s)
ON CONFLICT (webhook_id) DO UPDATE SET begun = excluded.begun, cursor = excluded.cursor
"""
REVIVE: LiteralString = """
WITH due AS (
    UPDATE webhooks.blocked SET attempts = 0, failed_since = NULL, next_attempt_at = %(now)s
    WHERE webhook_id = %(id)s
)
UPDATE webhooks.deliveries SET revived = %(revived)s WHERE webhook_id = %(id)s
"""
SAVE: LiteralString = """
WITH gone AS (
    DELETE FROM webhooks.blocked WHERE webhook_id = %(id)s AND originator_id = ANY (%(gone)s::uuid[])
), stays AS (
    INSERT INTO webhooks.blocked
    SELECT %(id)s, * FROM unnest(
        %(originators)s::uuid[], %(versions)s::bigint[], %(positions)s::bigint[], %(attempts)s::integer[],
        %(since)s::timestamptz[], %(next)s::timestamptz[], %(of_endpoint)s::boolean[]
    )
    ON CONFLICT (webhook_id, originator_id) DO UPDATE
    SET version = excluded.version, position = excluded.position, attempts = excluded.attempts,
        failed_since = excluded.failed_since, next_attempt_at = excluded.next_attempt_at,
        of_endpoint = excluded.of_endpoint
)
UPDATE webhooks.deliveries
SET cursor = %(cursor)s, last_status = %(status)s, last_fault = %(fault)s,
    last_attempt_at = coalesce(%(tried)s, last_attempt_at),
    last_success_at = coalesce(%(arrived)s, last_success_at)
WHERE webhook_id = %(id)s
"""
CLEAR: LiteralString = """
WITH secrets AS (DELETE FROM webhooks.secrets WHERE webhook_id = ANY (%(ids)s::uuid[]))
DELETE FROM webhooks.deliveries WHERE webhook_id = ANY (%(ids)s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An aggregate whose event of this version, at this position at the least, did not arrive yet."""

    originator_id: UUID
    version: int
    position: int
    attempts: int
    failed_since: datetime | None
    next_attempt_at: datetime
    of_endpoint: bool


@dataclass(frozen=True, slots=True)
class Standings:
    """What is to be remembered of an endpoint: how far it is, who waits, and who waits no more."""

    cursor: int
    waiting: Collection[Waiting] = ()
    gone: Collection[UUID] = ()
    last: Answer | None = None
    tried_at: datetime | None = None
    arrived_at: datetime | None = None


class GroupLease:
    """One member's locks. Everything raises `Unavailable` once they are lost. Safe to share between tasks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AsyncConnection[Any] | None = None

    async def join(self) -> None:
        """Become a member, with no endpoint yet."""
        with unavailable_on_outage():
            self._connection = await AsyncConnection.connect(
                self._url,
                autocommit=True,
                application_name="lethe webhooks",
                connect_timeout=5,
                tcp_user_timeout=SILENCE_MILLISECONDS_MAX,
                prepare_threshold=0,
                options=OPTIONS,
            )
        await self._rows("SELECT pg_advisory_lock_shared(%s, 0)", [MEMBERS])

    async def members(self) -> int:
        """How many share the endpoints, this one among them."""
        [(count,)] = await self._rows(COUNT, [MEMBERS])
        return int(count)

    async def take(self, id: UUID) -> bool:
        """Take an endpoint, if nobody has it."""
        [(taken,)] = await self._rows("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK, str(id)])
        return bool(taken)

    async def let_go(self, id: UUID) -> None:
        """Let another member take the endpoint."""
        await self._rows("SELECT pg_advisory_unlock(%s, hashtext(%s))", [LOCK, str(id)])

    async def begin(self, endpoint: Endpoint, now: datetime) -> tuple[int, list[Waiting]]:
        """Where to go on, and who waits; as somebody said since, if somebody did."""
        [(followed, revived, cursor)] = await self._rows(BEGUN, [endpoint.id]) or [(-1, -1, 0)]
        names = {"id": endpoint.id, "told": endpoint.told, "revived": endpoint.revived, "now": now}
        if followed < endpoint.told:
            cursor = endpoint.cursor_of(followed, cursor)
            # Who waits for an event up to there goes on waiting for it: it is not met again.
            kept = cursor if followed >= endpoint.begun else 0
            await self._rows(BEGIN, {**names, "cursor": cursor, "kept": kept})
        if revived < endpoint.revived:
            await self._rows(REVIVE, names)
        waiting = [Waiting(*row) for row in await self._rows(BLOCKED, [endpoint.id])]
        return int(cursor), waiting

    async def save(self, id: UUID, it: Standings) -> None:
        """Remember it, all at once."""
        last = it.last or Answer()
        await self._rows(
            SAVE,
            {
                "id": id,
                "cursor": it.cursor,
                "gone": list(it.gone),
                "originators": [row.originator_id for row in it.waiting],
                "versions": [row.version for row in it.waiting],
                "positions": [row.position for row in it.waiting],
                "attempts": [row.attempts for row in it.waiting],
                "since": [row.failed_since for row in it.waiting],
                "next": [row.next_attempt_at for row in it.waiting],
                "of_endpoint": [row.of_endpoint for row in it.waiting],
                "status": last.status,
                "fault": last.fault,
                "tried": it.tried_at,
                "arrived": it.arrived_at,
            },
        )

    async def clear(self, ids: Collection[UUID]) -> None:
        """Forget endpoints that are removed, and their secrets."""
        await self._rows(CLEAR, {"ids": list(ids)})

    async def leave(self) -> None:
        """Let the others have everything: the connection, and the locks with it, is gone. May be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _rows(self, query: LiteralString, values: Any) -> list[tuple[Any, ...]]:
        connection = self._connection
        if connection is None:
            raise Unavailable("the webhooks' lease is not held")
        async with answering(ANSWER_SECONDS_MAX, "the webhooks' lease"):
            cursor = await connection.execute(query, values)
            return await cursor.fetchall() if cursor.description else []
