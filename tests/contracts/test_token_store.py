"""Every token store keeps the same contract."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from infra.access import EVERYTHING, Scope, TokenStore, digest
from infra.clock import SystemClock
from infra.memory.tokens import MemoryTokenStore
from infra.postgres.database import open_pool
from infra.postgres.tokens import PostgresTokenStore


@pytest.fixture(params=["memory", "postgres"])
async def tokens(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[TokenStore]:
    if request.param == "memory":
        yield MemoryTokenStore(SystemClock())
        return
    pool = await open_pool(database_url, size=2)
    yield PostgresTokenStore(pool, SystemClock())
    await pool.close()


async def test_a_token_is_found_by_its_digest(tokens: TokenStore) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    scopes = frozenset({Scope.READ, Scope.ERASE})
    id, token = await tokens.create(name="billing", scopes=scopes, actor_id=UUID(int=7), expires_at=later)
    found = await tokens.find(digest(token))
    assert found is not None
    assert (found.id, found.name, found.scopes, found.actor_id) == (id, "billing", scopes, UUID(int=7))
    assert (found.expires_at, found.revoked_at) == (later, None)


async def test_another_token_is_not_found(tokens: TokenStore) -> None:
    await tokens.create(name="billing", scopes=EVERYTHING, actor_id=uuid4())
    assert await tokens.find(digest("x" * 40)) is None


async def test_a_token_made_elsewhere_is_adopted_once(tokens: TokenStore) -> None:
    first, again = [
        await tokens.adopt("y" * 40, name="first", scopes=EVERYTHING, actor_id=uuid4()) for _ in range(2)
    ]
    assert first == again
    assert [it.id for it in await tokens.all()] == [first]


async def test_a_revoked_token_stays_with_the_moment_of_its_end(tokens: TokenStore) -> None:
    id, token = await tokens.create(name="billing", scopes=EVERYTHING, actor_id=uuid4())
    assert await tokens.revoke(id)
    first = await tokens.find(digest(token))
    assert await tokens.revoke(id)
    assert first == await tokens.find(digest(token))
    assert first is not None
    assert not first.is_valid(datetime.now(UTC))


async def test_a_token_nobody_made_is_not_revoked(tokens: TokenStore) -> None:
    assert not await tokens.revoke(uuid4())


async def test_the_database_never_holds_a_token(database_url: str) -> None:
    pool = await open_pool(database_url, size=1)
    _, token = await PostgresTokenStore(pool, SystemClock()).create(
        name="billing", scopes=EVERYTHING, actor_id=uuid4()
    )
    await pool.close()
    with psycopg.connect(database_url) as connection:
        (row,) = connection.execute("SELECT t::text FROM auth.tokens t").fetchall()
    assert token not in row[0]
    assert token.split("_", 2)[2] not in row[0]
