"""What every store of the access log promises, and what the log promises over it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from domain.model import Category
from infra import accesslog
from infra.accesslog import Access, AccessFilter, AccessLog, AccessStore, Batch, leaf_hash, network_of, packed
from infra.memory.accesses import MemoryAccesses
from infra.postgres.accesses import PostgresAccesses
from infra.postgres.database import open_pool
from services.ports import Unavailable

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> str | None:
    """The database, where there is one. Not asked for inside the loop: making it runs one of its own."""
    return str(request.getfixturevalue("database_url")) if request.param == "postgres" else None


@pytest.fixture
async def store(place: str | None) -> AsyncIterator[AccessStore]:
    if place is None:
        yield MemoryAccesses()
        return
    pool = await open_pool(place, size=3)
    try:
        yield PostgresAccesses(pool)
    finally:
        await pool.close()


def access(*subject_ids: UUID, actor: UUID | None = None, minutes: float = 0, **more: object) -> Access:
    facts = {"operation": "read_customer", "count": 1, "categories": (Category.IDENTITY,)} | more
    at = NOON + timedelta(minutes=minutes)
    return Access(at=at, actor=actor or uuid4(), subjects=packed(it.bytes for it in subject_ids), **facts)  # type: ignore[arg-type]


async def kept(store: AccessStore, where: AccessFilter, limit: int = 99) -> list[Access]:
    return [it.access for it in await store.find(where, limit=limit)]


async def test_who_looked_at_a_subject_is_found_newest_first_and_nobody_else(store: AccessStore) -> None:
    me, other = uuid7(), uuid7()
    first, second = access(me, other), access(me, minutes=1)
    await store.append(Batch(uuid7(), [first, access(other)]))
    await store.append(Batch(uuid7(), [second]))
    assert await kept(store, AccessFilter(subject_id=me)) == [second, first]
    assert await kept(store, AccessFilter(subject_id=uuid7())) == []


async def test_an_access_is_found_by_its_actor_and_by_whom_it_was_for(store: AccessStore) -> None:
    actor, principal = uuid4(), uuid4()
    mine = access(uuid7(), actor=actor, on_behalf_of=str(principal))
    await store.append(Batch(uuid7(), [mine, access(uuid7())]))
    assert await kept(store, AccessFilter(actor_id=actor)) == [mine]
    assert await kept(store, AccessFilter(actor_id=principal)) == [mine]


async def test_accesses_are_found_by_time(store: AccessStore) -> None:
    early, late = access(uuid7()), access(uuid7(), minutes=10)
    await store.append(Batch(uuid7(), [early, late]))
    assert await kept(store, AccessFilter(since=NOON + timedelta(minutes=1))) == [late]
    assert await kept(store, AccessFilter(until=NOON + timedelta(minutes=10))) == [early]


async def test_pages_hold_every_access_once(store: AccessStore) -> None:
    me = uuid7()
    everything = [access(me, minutes=it) for it in range(25 * 3)]
    for start in range(0, len(everything), 3):
        await store.append(Batch(uuid7(), everything[start : start + 3]))
    seen: list[Access] = []
    before = None
    while page := await store.find(AccessFilter(subject_id=me), limit=4, before=before):
        seen += [it.access for it in page]
        before = page[-1].batch, page[-1].line
    assert seen == everything[::-1]


async def test_a_batch_that_comes_again_is_stored_once(store: AccessStore) -> None:
    batch = Batch(uuid7(), [access(uuid7())])
    await store.append(batch)
    await store.append(batch)
    assert len(await kept(store, AccessFilter())) == 1


async def test_an_id_across_the_border_of_two_others_is_not_found(store: AccessStore) -> None:
    low, high = UUID(int=0x1111), UUID(int=0x2222 << 64)
    border = UUID(bytes=(low.bytes + high.bytes)[8:24])
    assert not AccessFilter(subject_id=border).passes(access(low, high))
    assert AccessFilter(subject_id=high).passes(access(low, high))


async def test_what_is_pruned_is_found_no_more_and_what_is_younger_stays(store: AccessStore) -> None:
    me = uuid7()
    old, young = access(me), access(me, minutes=10)
    await store.append(Batch(uuid7(), [old]))
    await store.append(Batch(uuid7(), [young]))
    assert await store.prune(NOON + timedelta(minutes=5)) == 1
    assert await kept(store, AccessFilter(subject_id=me)) == [young]
    assert await store.prune(NOON + timedelta(minutes=5)) == 0


async def test_a_pruned_batch_leaves_its_hash_and_nothing_else(database_url: str) -> None:
    pool = await open_pool(database_url, size=2)
    store, batch = PostgresAccesses(pool), Batch(uuid7(), [access(uuid7())])
    await store.append(batch)
    await store.prune(NOON + timedelta(minutes=5))
    async with pool.connection() as connection:
        left = await (await connection.execute("SELECT leaf_hash, body FROM access.batches")).fetchall()
        indexed = await (
            await connection.execute("SELECT FROM access.subjects UNION ALL SELECT FROM access.actors")
        ).fetchall()
    await pool.close()
    assert left == [(leaf_hash(batch.body()), None)]
    assert indexed == []


async def test_numbers_rise_in_order_of_commit(database_url: str) -> None:
    """A slow transaction's batch is never slipped in below one that was seen already."""
    pool = await open_pool(database_url, size=4)
    store = PostgresAccesses(pool)
    slow = await psycopg.AsyncConnection.connect(database_url)
    await slow.execute("SELECT access.append(gen_random_uuid(), now(), now(), 1, sha256(''), '', '{}', '{}')")
    waiting = asyncio.create_task(store.append(Batch(uuid7(), [access(uuid7())])))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await slow.commit()
    await waiting
    async with pool.connection() as connection:
        numbers = await (await connection.execute("SELECT number, body FROM access.batches")).fetchall()
    await slow.close()
    await pool.close()
    assert [body == b"" for _, body in sorted(numbers)] == [True, False]


class Refusing(MemoryAccesses):
    """A store that is out of order until it is mended."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = True

    async def append(self, batch: Batch) -> None:
        if self.broken:
            raise Unavailable("broken")
        await super().append(batch)


async def test_what_is_noted_is_stored_within_a_second() -> None:
    store = MemoryAccesses()
    log = AccessLog(store)
    for minute in range(100):
        log.note(access(uuid7(), minutes=minute))
    await asyncio.sleep(0.5)
    assert len(await kept(store, AccessFilter(), limit=999)) == 100


async def test_what_is_noted_is_stored_when_the_log_is_closed() -> None:
    store = MemoryAccesses()
    log = AccessLog(store)
    log.note(access(uuid7()))
    await log.close()
    assert len(await kept(store, AccessFilter())) == 1


async def test_an_answer_may_wait_until_its_note_is_stored() -> None:
    store = MemoryAccesses()
    log = AccessLog(store, before_answer=True)
    for _ in range(3):
        log.note(access(uuid7()))
        await log.settled()
        assert len(log._noted) == 0
    assert len(await kept(store, AccessFilter())) == 3


async def test_what_the_store_refuses_is_kept_and_stored_later() -> None:
    store = Refusing()
    log = AccessLog(store)
    log.note(access(uuid7()))
    await asyncio.sleep(0.5)
    store.broken = False
    await asyncio.sleep(0.5)
    assert len(await kept(store, AccessFilter())) == 1


async def test_nothing_is_noted_while_the_store_refuses_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "BEHIND_SECONDS_MAX", 0.3)
    store = Refusing()
    log = AccessLog(store)
    log.note(access(uuid7()))
    await asyncio.sleep(0.5)
    with pytest.raises(Unavailable):
        log.note(access(uuid7()))
    store.broken = False
    await asyncio.sleep(0.5)
    log.note(access(uuid7()))
    await log.close()
    assert len(await kept(store, AccessFilter())) == 2


async def test_nothing_is_noted_that_the_queue_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "QUEUE_ENTRIES_MAX", 3)
    log = AccessLog(MemoryAccesses())
    for _ in range(3):
        log.note(access(uuid7()))
    with pytest.raises(Unavailable):
        log.note(access(uuid7()))
    await log.close()


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("testclient", None),
    ],
)
def test_a_network_is_coarse_enough_to_be_nobodys_own(host: str, network: str | None) -> None:
    assert network_of(host) == network
