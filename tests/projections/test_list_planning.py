"""The database plans a list once, not for every page anew; of the texts it is asked with some are kept."""

from uuid import UUID

import psycopg
import pytest

from infra.postgres.database import open_pool
from infra.postgres.migrate import migrate
from infra.postgres.views import query
from infra.postgres.views.query import RowReader, fetch
from infra.postgres.views.tables import CUSTOMERS

PEOPLE = """
INSERT INTO directory.customers (
    id, subject_id, version, position, kind, source, lawful_basis, purpose, registered_at, changed_at, tags,
    archived
)
SELECT gen_random_uuid(), gen_random_uuid(), 1, number, 'person', 'fair', 'contract', 'orders', now(), now(),
       '{}', false
FROM generate_series(1, 2000) AS number
"""
PLANS = b"SELECT generic_plans FROM pg_prepared_statements WHERE statement ~ '^SELECT keys.mark'"
PLANNED_FIRST = 5
"""So often PostgreSQL plans a statement for its values before it settles on one plan for all."""


async def test_whence_a_page_goes_on_makes_no_plan_of_its_own(database_url: str) -> None:
    await migrate(database_url, namespace="main")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(PEOPLE.encode())
        connection.execute("ANALYZE directory.customers")
    pool = await open_pool(database_url, size=1)
    try:
        lists = RowReader(pool, CUSTOMERS, member="owner_id")
        pages = [await lists.heads([], limit=50, after=UUID(int=it)) for it in range(PLANNED_FIRST + 3)]
        assert {len(it.heads) for it in pages} == {50}
        assert await fetch(pool, PLANS) == [(3,)]
    finally:
        await pool.close()


async def test_the_texts_of_statements_that_are_kept_are_bounded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "QUERIES_MAX", 3)
    await migrate(database_url, namespace="main")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(PEOPLE.encode())
    pool = await open_pool(database_url, size=1)
    try:
        lists = RowReader(pool, CUSTOMERS, member="owner_id")
        for limit in range(1, 9):
            page = await lists.heads([], limit=limit, after=None)
            assert len(page.heads) == limit
            assert len(await lists.headed([UUID(bytes=head[:16]) for head in page.heads])) == limit
            assert len(lists._queries) <= 4
    finally:
        await pool.close()
