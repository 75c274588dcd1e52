"""Webhooks in PostgreSQL: who they are, by the log; their secrets in boxes; how delivery does."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.persistence import Notification, StoredEvent

from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.webhooks import signing
from infra.webhooks.answers import Fault
from infra.webhooks.endpoints import Endpoint, EndpointState, Progress, endpoints_of
from services.ports import DataKey, Recorded, RecordNotFound, Tampered

KEY_NAME: Final = "webhooks"
NONCE_BYTES: Final = 12

# Not behind the fence: these are few, and all of them are read each time that there is another one.
FOUND: LiteralString = (
    "SELECT count(*), coalesce(max(position), 0) FROM log.events WHERE topic LIKE 'webhook.%'"
)
EVENTS: LiteralString = """
SELECT originator_id, originator_version, topic, state, position FROM log.events
WHERE topic LIKE 'webhook.%' ORDER BY originator_id, originator_version
"""
EVENTS_OF_ONE: LiteralString = """
SELECT originator_id, originator_version, topic, state, position FROM log.events
WHERE originator_id = %s AND topic LIKE 'webhook.%%' ORDER BY originator_version
"""
SECRETS: LiteralString = (
    "SELECT number, box FROM webhooks.secrets WHERE webhook_id = %s AND number = ANY (%s::integer[])"
)
PROGRESS: LiteralString = """
SELECT webhook_id, begun, cursor, coalesce(waiting, 0), soonest,
       last_status, last_fault, last_attempt_at, last_success_at
FROM webhooks.deliveries LEFT JOIN (
    SELECT webhook_id, count(*) AS waiting, min(next_attempt_at) AS soonest
    FROM webhooks.blocked GROUP BY webhook_id
) AS blocked USING (webhook_id)
"""


class Mapper(Protocol):
    """Reads stored events, such as `infra.eventstore.mapper.EventMapper`."""

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded: ...


class WebhookStore:
    """Reads on any connection of the pool. Raises `Unavailable`."""

    def __init__(self, pool: Pool, mapper: Mapper, key: DataKey, namespace: str) -> None:
        self._pool = pool
        self._mapper = mapper
        self._cipher = AESGCM(key.secret)
        self._namespace = namespace
        self._known: tuple[tuple[int, int], Mapping[UUID, Endpoint]] = ((0, 0), {})

    async def endpoints(self) -> Mapping[UUID, Endpoint]:
        """All that ever were, as of now."""
        [found] = await self._rows(FOUND)
        if found != self._known[0]:
            self._known = found, self._folded(await self._rows(EVENTS))
        return self._known[1]

    async def endpoint(self, id: UUID, *, version: int | None = None) -> Endpoint:
        """One that is not removed, or as it was at a version. Raises `RecordNotFound`."""
        rows = await self._rows(EVENTS_OF_ONE, id)
        known = [it for it in rows if version is None or it[1] <= version]
        it = self._folded(known).get(id)
        if it is None or it.state is EndpointState.REMOVED:
            raise RecordNotFound(id)
        return it

    async def progress(self, id: UUID | None = None) -> Mapping[UUID, Progress]:
        """How delivery does, by endpoint: none for one to which nobody has begun to send."""
        one: LiteralString = " WHERE webhook_id = %s"
        rows = await (self._rows(PROGRESS) if id is None else self._rows(PROGRESS + one, id))
        return {
            id: Progress(
                begun, cursor, blocked, soonest, status, Fault(fault) if fault else None, tried, arrived
            )
            for id, begun, cursor, blocked, soonest, status, fault, tried, arrived in rows
        }

    async def secrets(self, id: UUID, numbers: Sequence[int]) -> list[bytes]:
        """The secrets of these numbers, in that order; whoever asks first for one makes it.

        So a crash between the event that announces a secret and its making leaves nothing behind. Raises
        `Tampered`.
        """
        offers = [(number, self._sealed(id, number, signing.mint())) for number in numbers]
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                for number, box in offers:
                    await connection.execute(
                        "INSERT INTO webhooks.secrets VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                        [id, number, box],
                    )
        kept = dict(await self._rows(SECRETS, id, list(numbers)))
        return [self._opened(id, number, kept[number]) for number in numbers]

    def _folded(self, rows: Sequence[tuple[Any, ...]]) -> Mapping[UUID, Endpoint]:
        return endpoints_of(self._mapper.to_domain_event(Notification(*row)) for row in rows)

    def _sealed(self, id: UUID, number: int, secret: bytes) -> bytes:
        nonce = signing.random(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, self._place(id, number))

    def _opened(self, id: UUID, number: int, box: bytes) -> bytes:
        try:
            return self._cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], self._place(id, number))
        except InvalidTag:
            raise Tampered(f"secret {number} of webhook {id} does not open") from None

    def _place(self, id: UUID, number: int) -> bytes:
        named = self._namespace.encode()
        return (
            b"lethe/webhook-secret/1\0"
            + len(named).to_bytes(2, "big")
            + named
            + id.bytes
            + number.to_bytes(4, "big")
        )

    async def _rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query, values or None)
                return await cursor.fetchall()
