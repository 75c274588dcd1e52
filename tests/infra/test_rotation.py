"""Rotating the key-encryption key: everything opens afterwards, nothing under the old key, nobody waits."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from domain.model import Category, Erased
from infra.kek import FileKekPlace, KekPlace, KekUnusable
from infra.keysreport import look_at_keys
from infra.memory.kek import MemoryKekPlace
from infra.postgres.database import Pool, open_pool
from infra.postgres.epochstore import RotationRunning, rotating
from infra.postgres.keyring import PostgresKeyRing
from infra.postgres.keystore import key_ring_at
from infra.rotation import Rotation, rotating_every
from services.ports import DataKey, KeyLost, KeyName

NAMESPACE = "main"
Keys = Mapping[KeyName, DataKey | Erased | None]


@dataclass
class Sealed:
    """Remembers what it was asked to record."""

    asked: list[tuple[int, str]] = field(default_factory=list)
    number: int = 0

    async def seal(self, *, epoch: int, kek_id: str) -> int:
        self.asked.append((epoch, kek_id))
        return self.number


@dataclass(frozen=True)
class Store:
    """A key store, the place of its KEKs, and one process's ring."""

    url: str
    place: KekPlace
    pool: Pool
    ring: PostgresKeyRing
    sealer: Sealed

    @property
    def rotation(self) -> Rotation:
        return Rotation(self.url, self.place, self.sealer, NAMESPACE)

    async def another_ring(self) -> PostgresKeyRing:
        """As another process has it: it asks anew for everything."""
        return await key_ring_at(self.pool, self.place, namespace=NAMESPACE, cache_seconds=0)

    async def mint(self, *names: KeyName, ring: PostgresKeyRing | None = None) -> Keys:
        async with self.pool.connection() as connection, connection.transaction():
            return await (ring or self.ring).provide(names, within=connection)

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def run(self, statement: str, *values: Any) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(statement.encode(), values)

    async def epochs_of_keys(self) -> set[int]:
        rows = await self.rows("SELECT epoch FROM keys.data_keys WHERE state = 'active'")
        return {epoch for (epoch,) in rows} | {
            epoch for (epoch,) in await self.rows("SELECT epoch FROM keys.system_keys")
        }


def names(number: int) -> list[KeyName]:
    subjects = [uuid4() for _ in range(number)]
    return [(subject, category) for subject in subjects for category in (Category.IDENTITY, Category.CONTACT)]


@asynccontextmanager
async def opened(url: str, place: KekPlace) -> AsyncIterator[Store]:
    pool = await open_pool(url, size=6)
    try:
        yield Store(url, place, pool, await key_ring_at(pool, place, namespace=NAMESPACE), Sealed())
    finally:
        await pool.close()


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> AsyncIterator[Store]:
    place = FileKekPlace(tmp_path / "kek") if request.param == "file" else MemoryKekPlace()
    async with opened(database_url, place) as store:
        yield store


async def test_everything_opens_after_a_rotation_and_nothing_under_the_old_kek(store: Store) -> None:
    wanted = names(30)
    keys = await store.mint(*wanted)
    blind = await store.ring.system_key("blind-index")
    [old] = await store.place.all()
    told: list[tuple[int, int]] = []

    report = await store.rotation.run(lambda done, total: told.append((done, total)))

    [new] = await store.place.all()
    assert new != old
    assert (report.epoch, report.kek_id, report.destroyed, report.keys) == (2, new, [old], 61)
    assert not report.resumed
    assert told == [(60, 60)]
    assert store.sealer.asked == [(2, old)]
    assert await store.epochs_of_keys() == {2}
    for ring in (store.ring, await store.another_ring()):
        assert await ring.fetch(wanted) == keys
        assert await ring.system_key("blind-index") == blind


async def test_one_rotation_may_follow_another(store: Store) -> None:
    wanted = names(3)
    keys = await store.mint(*wanted)
    for epoch in (2, 3, 4):
        assert (await store.rotation.run()).epoch == epoch
        assert len(await store.place.all()) == 1
    assert await store.ring.fetch(wanted) == keys
    assert await store.epochs_of_keys() == {4}


async def test_a_process_that_knows_only_the_old_kek_mints_and_opens_at_once(store: Store) -> None:
    stale = await store.another_ring()
    idle = await store.another_ring()
    [before] = names(1)[:1]
    kept = await store.mint(before, ring=stale)
    await store.rotation.run()
    minted = await store.mint(*names(2), before, ring=stale)
    assert minted[before] == kept[before]
    assert await store.epochs_of_keys() == {2}
    assert await store.ring.fetch(list(minted)) == minted
    assert await idle.system_key("late") == await stale.system_key("late")


async def test_processes_let_the_old_kek_go_when_they_notice(store: Store) -> None:
    await store.mint(*names(1))
    fetching, minting = await store.another_ring(), await store.another_ring()
    idle = await store.another_ring()
    await store.rotation.run()
    await idle.look()
    await fetching.fetch(list(await store.mint(*names(1), ring=minting)))
    for ring in (fetching, minting, idle):
        assert ring._keks.of(1) is None
        assert ring._keks.of(2) is not None


async def test_the_dead_stay_dead_and_are_unsealed_until_their_epoch_ends(store: Store) -> None:
    early, late = names(1), names(1)
    await store.mint(*early, *late)
    await store.ring.shred(early[0][0])
    assert await store.ring.unsealed([early[0][0]]) == set(early)
    async with rotating(store.url) as epochs:
        await store.rotation.turn(epochs, lambda done, total: None)
    await store.ring.shred(late[0][0])

    assert await store.ring.unsealed([early[0][0], late[0][0]]) == set(late)
    await store.rotation.run()
    assert await store.ring.unsealed([early[0][0], late[0][0]]) == set()
    fetched = await store.ring.fetch([*early, *late])
    assert all(isinstance(key, Erased) for key in fetched.values())


async def test_an_epoch_begins_only_after_those_who_mint_in_the_one_before_are_done(store: Store) -> None:
    [name] = names(1)[:1]
    async with store.pool.connection() as connection:
        async with connection.transaction():
            keys = await store.ring.provide([name], within=connection)
            rotation = asyncio.create_task(store.rotation.run())
            done, _ = await asyncio.wait([rotation], timeout=1.5)  # it steps back once, and tries again
            assert not done
            assert await store.rows("SELECT max(number) FROM keys.epochs") == [(1,)]
        await rotation
    assert await store.epochs_of_keys() == {2}
    assert await store.ring.fetch([name]) == keys


async def test_without_the_lock_a_key_is_stranded_under_the_destroyed_kek(store: Store) -> None:
    [(body,)] = await store.rows("SELECT pg_get_functiondef('keys.epoch_to_mint_in'::regproc)")
    lock = "PERFORM pg_advisory_xact_lock_shared(x'6C657468650004'::bigint);"
    assert lock in body
    await store.run(body.replace(lock, ""))
    async with store.pool.connection() as connection, connection.transaction():
        await store.ring.provide(names(1)[:1], within=connection)
        await store.rotation.run()
    report = await look_at_keys(store.pool, store.place)
    assert report.odd == {"keys wrapped under a KEK that is destroyed, or was never known": 1}


async def test_writing_and_erasing_go_on_beside_rotations(store: Store) -> None:
    wanted = names(400)
    keys = dict(await store.mint(*wanted))
    living = {name[0] for name in wanted}
    rings = [await store.another_ring() for _ in range(2)]
    stop = asyncio.Event()

    async def write(ring: PostgresKeyRing) -> None:
        while not stop.is_set():
            keys.update(await store.mint(*names(3), ring=ring))
            await asyncio.sleep(0.005)

    async def erase() -> None:
        while not stop.is_set():
            await store.ring.shred(living.pop())
            await asyncio.sleep(0.005)

    work = [asyncio.create_task(it) for it in (write(rings[0]), write(rings[1]), erase())]
    reports = [await store.rotation.run() for _ in range(5)]
    stop.set()
    await asyncio.gather(*work)

    await store.rotation.run()
    erased = {name[0] for name in wanted} - living
    took = ", ".join(f"{it.seconds} s" for it in reports)
    print(f"{len(erased)} erased and {len(keys) - len(wanted)} minted beside rotations of {took}")
    assert len(erased) > 5
    assert len(keys) > len(wanted) + 20
    assert await store.epochs_of_keys() == {7}
    fetched = await (await store.another_ring()).fetch(list(keys))
    for name, key in keys.items():
        assert isinstance(fetched[name], Erased) if name[0] in erased else fetched[name] == key
    assert (await look_at_keys(store.pool, store.place)).odd == {}


async def test_the_old_kek_stays_while_a_key_does_not_open_under_it(store: Store) -> None:
    good, bad = names(1)
    keys = await store.mint(good, bad)
    [(box,)] = await store.rows("SELECT wrapped FROM keys.data_keys WHERE category = %s", bad[1])
    await store.run("UPDATE keys.data_keys SET wrapped = sha512(wrapped) WHERE category = %s", bad[1])
    for _ in range(2):
        with pytest.raises(KeyLost, match=f"1 keys do not open .* {bad[1]} of {bad[0]}"):
            await store.rotation.run()
    assert len(await store.place.all()) == 2
    assert store.sealer.asked == []

    await store.run("UPDATE keys.data_keys SET wrapped = %s WHERE category = %s", box, bad[1])
    assert (await store.rotation.run()).resumed
    assert await store.ring.fetch([good, bad]) == keys


async def test_a_kek_that_a_killed_run_has_added_is_used(store: Store) -> None:
    await store.mint(*names(1))
    added = await store.place.add()
    assert (await look_at_keys(store.pool, store.place)).odd == {f"KEK {added.id} is of no epoch": 1}
    assert (await store.rotation.run()).kek_id == added.id
    assert list(await store.place.all()) == [added.id]


async def test_two_do_not_rotate_at_once(store: Store) -> None:
    async with rotating(store.url):
        with pytest.raises(RotationRunning):
            await store.rotation.run()
    assert (await store.rotation.run()).epoch == 2


class Broken:
    """A KEK whose ciphertexts open for nobody, and that opens nobody's."""

    def __init__(self, id: str) -> None:
        self.id = id

    async def wrap(self, secrets: Collection[bytes], places: Collection[bytes]) -> list[bytes]:
        return [bytes(60) for _ in secrets]

    async def unwrap(self, wrapped: Collection[bytes], places: Collection[bytes]) -> list[None]:
        return [None for _ in wrapped]


async def test_what_a_new_kek_does_not_give_back_is_not_stored(store: Store) -> None:
    keys = await store.mint(*names(2))

    class Place(MemoryKekPlace):
        async def all(self) -> Any:
            return {**await store.place.all(), "broken": Broken("broken")}

    broken = Rotation(store.url, Place(), store.sealer, NAMESPACE)
    with pytest.raises(KekUnusable, match="does not give back"):
        await broken.run()
    assert await store.epochs_of_keys() == {1}
    assert await store.ring.fetch(list(keys)) == keys


async def test_the_old_kek_stays_where_the_new_one_is_another_by_then(store: Store) -> None:
    keys = await store.mint(*names(2))
    [old] = await store.place.all()

    class Place(MemoryKekPlace):
        """Has the new KEK until every key is wrapped anew, and then another of its name."""

        async def add(self) -> Any:
            return await store.place.add()

        async def destroy(self, kek_id: str) -> None:
            await store.place.destroy(kek_id)

        async def all(self) -> Any:
            keks = dict(await store.place.all())
            if await store.rows("SELECT FROM keys.epochs WHERE emptied_at IS NOT NULL"):
                newest = [*keks][-1]
                return {**keks, newest: Broken(newest)}
            return keks

    with pytest.raises(KekUnusable, match="is not the one that epoch 2 began with"):
        await Rotation(store.url, Place(), store.sealer, NAMESPACE).run()
    assert old in await store.place.all()
    assert (await store.rotation.run()).destroyed == [old]
    assert await store.ring.fetch(list(keys)) == keys


async def test_it_is_rotated_when_it_is_time_and_not_before(store: Store) -> None:
    await store.mint(*names(1))
    now = datetime.now(UTC)
    job = rotating_every(30, store.rotation)
    assert await job.run(now) == "the epoch goes on"
    assert "epoch 2: 2 keys" in await job.run(now + timedelta(days=31))
    assert await job.run(now + timedelta(days=1)) == "the epoch goes on"
    await store.run("UPDATE keys.epochs SET sealed_at = NULL WHERE number = 1")
    assert "epoch 2: 0 keys" in await job.run(now), "what was interrupted is finished, due or not"


async def test_what_should_not_be_in_a_key_store_is_counted(store: Store) -> None:
    [mine, other] = names(1)
    await store.mint(mine, other, *names(2))
    assert (await look_at_keys(store.pool, store.place)).odd == {}
    await store.run("UPDATE keys.subjects SET erased_at = now() WHERE subject_id = %s", mine[0])
    await store.run("INSERT INTO keys.holds VALUES (%s, %s)", uuid4(), mine[0])
    await store.run("UPDATE keys.data_keys SET epoch = 9 WHERE category = 'contact'")
    await store.run("DELETE FROM keys.subjects WHERE subject_id <> %s", mine[0])
    assert (await look_at_keys(store.pool, store.place)).odd == {
        "living keys of erased subjects": 2,
        "holds on erased subjects": 1,
        "keys wrapped under a KEK that is destroyed, or was never known": 3,
        "keys of subjects that are not listed": 4,
    }


async def test_after_a_rotation_the_table_has_room_again(store: Store) -> None:
    await store.mint(*names(500))
    sizes = []
    for _ in range(4):
        await store.rotation.run()
        [(size,)] = await store.rows("SELECT pg_table_size('keys.data_keys')")
        sizes.append(size)
    assert sizes[-1] <= sizes[0]
