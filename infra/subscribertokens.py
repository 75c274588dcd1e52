"""The tokens of subscribers: of one scope, and acting as the subscriber."""

from datetime import datetime
from uuid import UUID

from infra.access import Scope, TokenStore


class ScopedSubscriberTokens:
    """Implements `services.subscribers.SubscriberTokens`."""

    def __init__(self, tokens: TokenStore) -> None:
        self._tokens = tokens

    async def mint(self, subscriber_id: UUID, *, name: str, expires_at: datetime | None) -> tuple[UUID, str]:
        return await self._tokens.create(
            name=name,
            scopes=frozenset({Scope.SUBSCRIBE}),
            actor_id=subscriber_id,
            expires_at=expires_at,
        )

    async def end(self, subscriber_id: UUID) -> None:
        for token in await self._tokens.all():
            if token.actor_id == subscriber_id and token.revoked_at is None:
                await self._tokens.revoke(token.id)
