"""The watch over the access log: what it sums up, what it flags, and that it may be begun anew."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from infra.accesslog import Access, AccessFilter, Batch, packed
from infra.postgres.accesses import PostgresAccesses
from infra.postgres.accesswatch import AccessWatch, pruning
from infra.postgres.database import Pool, open_pool
from infra.unusual import Measure

TODAY = datetime(2026, 3, 30, tzinfo=UTC)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, size=3)
    yield opened
    await opened.close()


def pages(actor: UUID, at: datetime, count: int, people: int = 1, *, everyone: bool = False) -> Batch:
    """So many pages in the hour, of so many people each."""
    return Batch(
        uuid7(),
        [
            Access(
                at=at + timedelta(seconds=it),
                actor=actor,
                operation="list_customers",
                count=people,
                subjects=packed(uuid4().bytes for _ in range(0 if everyone else people)),
                everyone=everyone,
            )
            for it in range(count)
        ],
    )


async def a_past(pool: Pool, actor: UUID, *, days: int = 10) -> None:
    """Twenty pages an hour at ten every day, taken in a day at a time."""
    store = PostgresAccesses(pool)
    for back in range(days, 0, -1):
        day = TODAY - timedelta(days=back)
        await store.append(pages(actor, day + timedelta(hours=10), 20))
        await AccessWatch(pool).look(day + timedelta(hours=12))


async def test_more_than_usual_is_flagged_once_and_grows(pool: Pool) -> None:
    actor, store, watch = uuid4(), PostgresAccesses(pool), AccessWatch(pool)
    await a_past(pool, actor)
    ten = TODAY + timedelta(hours=10)
    await store.append(pages(actor, ten, 200))
    await watch.look(ten + timedelta(minutes=5))
    await store.append(pages(actor, ten + timedelta(minutes=30), 100))
    await watch.look(ten + timedelta(minutes=35))
    (found,) = await watch.found(limit=9)
    it = found.unusual
    assert (it.actor_id, it.measure, it.since, it.measured) == (actor, Measure.PAGES, ten, 300)
    assert it.usual == 20
    assert (await watch.lately(ten))[Measure.PAGES] == 1


async def test_an_export_of_everyone_counts_for_all_whom_it_shows(pool: Pool) -> None:
    actor, watch = uuid4(), AccessWatch(pool)
    await a_past(pool, actor)
    ten = TODAY + timedelta(hours=10)
    await PostgresAccesses(pool).append(pages(actor, ten, 1, people=5_000, everyone=True))
    await watch.look(ten + timedelta(minutes=5))
    found = {it.unusual.measure: it.unusual.measured for it in await watch.found(limit=9)}
    assert found == {Measure.SUBJECTS: 5_000, Measure.BREADTH: 5_000}


async def test_a_watch_begun_anew_comes_to_the_same_sums(pool: Pool) -> None:
    actor, store = uuid4(), PostgresAccesses(pool)
    await a_past(pool, actor)
    ten = TODAY + timedelta(hours=10)
    await store.append(pages(actor, ten, 60))
    await AccessWatch(pool).look(ten + timedelta(minutes=5))
    await store.append(pages(actor, ten + timedelta(minutes=10), 70))
    watch = AccessWatch(pool)
    await watch.look(ten + timedelta(minutes=15))
    assert [it.unusual.measured for it in await watch.found(limit=9)] == [130]


async def test_an_actor_without_a_past_and_one_as_always_are_not_flagged(pool: Pool) -> None:
    old, new, store, watch = uuid4(), uuid4(), PostgresAccesses(pool), AccessWatch(pool)
    await a_past(pool, old)
    ten = TODAY + timedelta(hours=10)
    await store.append(pages(old, ten, 21))
    await store.append(pages(new, ten, 2_000))
    assert (await watch.look(ten + timedelta(minutes=5))).endswith(" 0 unusual")
    assert await watch.found(limit=9) == []


async def test_findings_come_page_by_page(pool: Pool) -> None:
    actors, store, watch = [uuid4() for _ in range(3)], PostgresAccesses(pool), AccessWatch(pool)
    ten = TODAY + timedelta(hours=10)
    for actor in actors:
        await a_past(pool, actor)
        await store.append(pages(actor, ten, 500))
    await watch.look(ten + timedelta(minutes=5))
    first = await watch.found(limit=4)
    rest = await watch.found(limit=4, before=first[-1].number)
    assert {it.unusual.actor_id for it in (*first, *rest)} == set(actors)
    assert (len(first), len(rest)) == (4, 2)


async def test_the_job_forgets_accesses_that_need_not_be_kept(pool: Pool) -> None:
    store, watch = PostgresAccesses(pool), AccessWatch(pool)
    await store.append(pages(uuid4(), TODAY, 3))
    job = pruning(store, watch, 30)
    assert await job.run(TODAY + timedelta(days=29)) == "0 batches of accesses pruned"
    assert await job.run(TODAY + timedelta(days=31)) == "1 batches of accesses pruned"
    assert await store.find(AccessFilter(), limit=9) == []
