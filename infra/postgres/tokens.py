"""Tokens in PostgreSQL, by their digest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from infra.access import Scope, Token, check_strength, digest, mint
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from services.ports import Clock

COLUMNS = "id, name, scopes, actor_id, created_at, expires_at, revoked_at"


class PostgresTokenStore:
    """Implements `infra.access.TokenStore`."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def create(
        self, *, name: str, scopes: frozenset[Scope], actor_id: UUID, expires_at: datetime | None = None
    ) -> tuple[UUID, str]:
        id = uuid7()
        token = mint(id)
        await self._insert(token, Token(id, name, scopes, actor_id, self._clock.now(), expires_at))
        return id, token

    async def adopt(self, token: str, *, name: str, scopes: frozenset[Scope], actor_id: UUID) -> UUID:
        check_strength(token)
        await self._insert(token, Token(uuid7(), name, scopes, actor_id, self._clock.now()))
        kept = await self.find(digest(token))
        assert kept is not None, "a token is never deleted"  # noqa: S101
        return kept.id

    async def _insert(self, token: str, about: Token) -> None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO auth.tokens (id, digest, name, scopes, actor_id, created_at, expires_at)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING",
                    (
                        about.id,
                        digest(token),
                        about.name,
                        [scope.value for scope in sorted(about.scopes)],
                        about.actor_id,
                        about.created_at,
                        about.expires_at,
                    ),
                )

    async def find(self, digest: bytes) -> Token | None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                found = await connection.execute(
                    f"SELECT {COLUMNS} FROM auth.tokens WHERE digest = %s",  # noqa: S608
                    (digest,),
                )
                row = await found.fetchone()
        return None if row is None else _token(row)

    async def all(self) -> Sequence[Token]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                found = await connection.execute(f"SELECT {COLUMNS} FROM auth.tokens ORDER BY id")  # noqa: S608
                return [_token(row) for row in await found.fetchall()]

    async def revoke(self, id: UUID) -> bool:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                found = await connection.execute(
                    "UPDATE auth.tokens SET revoked_at = coalesce(revoked_at, %s) WHERE id = %s",
                    (self._clock.now(), id),
                )
                return found.rowcount == 1


def _token(row: tuple[Any, ...]) -> Token:
    id, name, scopes, actor_id, created_at, expires_at, revoked_at = row
    return Token(
        id, name, frozenset(Scope(scope) for scope in scopes), actor_id, created_at, expires_at, revoked_at
    )
