"""Tokens in memory, for tests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from infra.access import Scope, Token, check_strength, digest, mint
from services.ports import Clock


class MemoryTokenStore:
    """Implements `infra.access.TokenStore`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[bytes, Token] = {}

    async def create(
        self, *, name: str, scopes: frozenset[Scope], actor_id: UUID, expires_at: datetime | None = None
    ) -> tuple[UUID, str]:
        id = uuid7()
        token = mint(id)
        self._tokens[digest(token)] = Token(id, name, scopes, actor_id, self._clock.now(), expires_at)
        return id, token

    async def adopt(self, token: str, *, name: str, scopes: frozenset[Scope], actor_id: UUID) -> UUID:
        check_strength(token)
        new = Token(uuid7(), name, scopes, actor_id, self._clock.now())
        return self._tokens.setdefault(digest(token), new).id

    async def find(self, digest: bytes) -> Token | None:
        return self._tokens.get(digest)

    async def all(self) -> Sequence[Token]:
        return sorted(self._tokens.values(), key=lambda token: token.id)

    async def revoke(self, id: UUID) -> bool:
        for key, token in self._tokens.items():
            if token.id == id:
                self._tokens[key] = replace(token, revoked_at=token.revoked_at or self._clock.now())
                return True
        return False
