"""What the doors ask about webhooks: who there is, how they do, a secret to hand over, a test delivery."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

from uuid_utils.compat import uuid7

from infra import json
from infra.webhooks import signing
from infra.webhooks.endpoints import Endpoint, EndpointState, Pinged, Progress, Seen
from infra.webhooks.reach import Reach
from infra.webhooks.store import WebhookStore
from services.ports import Clock

PING = "lethe.ping"


class WebhookDesk:
    """Raises `Unavailable`; whatever names an endpoint, `RecordNotFound`."""

    def __init__(
        self,
        store: WebhookStore,
        last: Callable[[], Awaitable[int]],
        reach: Reach,
        clock: Clock,
        namespace: str,
    ) -> None:
        self._store, self._last, self._reach = store, last, reach
        self._clock, self._namespace = clock, namespace

    async def all(self) -> list[Seen]:
        """Those that are not removed, in the order of their registration."""
        endpoints, progress = await self._store.endpoints(), await self._store.progress()
        last = await self._last()
        living = [it for it in endpoints.values() if it.state is not EndpointState.REMOVED]
        return [
            _seen(it, progress.get(it.id), last) for it in sorted(living, key=lambda it: it.registered_at)
        ]

    async def one(self, id: UUID) -> Seen:
        endpoint = await self._store.endpoint(id)
        progress = await self._store.progress(id)
        return _seen(endpoint, progress.get(id), await self._last())

    async def secret(self, id: UUID, version: int) -> str:
        """The secret that signs from that version of the endpoint on."""
        endpoint = await self._store.endpoint(id, version=version)
        [secret] = await self._store.secrets(id, [endpoint.secret_number])
        return signing.text_of(secret)

    async def ping(self, id: UUID) -> Pinged:
        """Send a signed event that says nothing, once. The log does not know of it."""
        # Here: loading what sends is a part of the start of every command.
        from infra.webhooks.sending import Sender

        endpoint = await self._store.endpoint(id)
        now = self._clock.now()
        secrets = await self._store.secrets(id, endpoint.secrets_at(now))
        event_id = uuid7()
        body = json.encode(
            {
                "specversion": "1.0",
                "id": str(event_id),
                "source": f"/lethe/{self._namespace}",
                "type": PING,
                "subject": str(id),
                "time": now,
                "datacontenttype": "application/json",
                "data": {},
            }
        )
        sender = Sender(self._reach, endpoint.url, connections=1)
        begun = time.perf_counter()
        try:
            answer = await sender.post(
                signing.signed(secrets, str(event_id), int(now.timestamp()), body), body
            )
        finally:
            await sender.close()
        return Pinged(event_id, answer, round((time.perf_counter() - begun) * 1000, 1))


def _seen(endpoint: Endpoint, progress: Progress | None, last: int) -> Seen:
    progress = progress or Progress(-1, 0)
    if progress.begun < endpoint.told:
        # Nobody has taken up yet what was said of it last.
        cursor = endpoint.cursor_of(progress.begun, progress.cursor)
        progress = replace(progress, begun=endpoint.told, cursor=min(cursor, last))
    return Seen(endpoint, progress, max(0, last - progress.cursor))
