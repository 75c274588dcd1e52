"""What holds for every key ring: the one in PostgreSQL and its twin in memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.model import Category, Erased
from infra.kek import fingerprint
from infra.memory.kek import MemoryKekPlace
from infra.memory.keyring import MemoryKeyRing
from infra.postgres.database import open_pool
from infra.postgres.keystore import key_ring_at
from services.ports import (
    DataKey,
    KeyName,
    KeyRing,
    KeyShredder,
    KeyState,
    Standing,
    SubjectIsHeld,
    SubjectMarks,
)

NAMESPACE = "main"


class Ring(KeyRing, KeyShredder, SubjectMarks, Protocol):
    async def knows(self, subject_id: UUID) -> bool: ...

    async def counts(self) -> Mapping[tuple[Category, KeyState], int]: ...


class Case:
    """A ring, and a way to have a transaction for it."""

    def __init__(self, ring: Ring, pool: Any) -> None:
        self.ring = ring
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        if self._pool is None:
            yield None
        else:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection

    async def provide(self, *names: KeyName) -> Mapping[KeyName, DataKey | Erased]:
        async with self.transaction() as within:
            return await self.ring.provide(names, within=within)


@pytest.fixture(params=["postgres", "memory"])
def url(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.getfixturevalue("database_url") if request.param == "postgres" else None
    return found


@pytest.fixture
async def case(url: str | None) -> AsyncIterator[Case]:
    if url is None:
        yield Case(MemoryKeyRing(), None)
        return
    pool = await open_pool(url, size=4)
    try:
        yield Case(await key_ring_at(pool, MemoryKekPlace(), namespace=NAMESPACE), pool)
    finally:
        await pool.close()


def names(*categories: Category, subject_id: UUID | None = None) -> list[KeyName]:
    return [(subject_id or uuid4(), category) for category in categories]


def secrets(keys: Mapping[KeyName, DataKey | Erased | None]) -> Collection[bytes]:
    return [key.secret for key in keys.values() if isinstance(key, DataKey)]


def print_of(key: DataKey | Erased) -> str:
    assert isinstance(key, DataKey)
    return key.fingerprint


async def test_a_key_is_minted_once_and_found_again(case: Case) -> None:
    [name] = names(Category.IDENTITY)
    minted = await case.provide(name)
    assert await case.provide(name) == minted
    assert await case.provide(name) == minted
    assert await case.ring.fetch([name]) == minted


async def test_every_subject_and_category_has_a_key_of_its_own(case: Case) -> None:
    ours, theirs = uuid4(), uuid4()
    wanted = [(subject, category) for subject in (ours, theirs) for category in Category]
    keys = await case.provide(*wanted)
    assert set(keys) == set(wanted)
    assert len(set(secrets(keys))) == len(wanted)
    assert {len(secret) for secret in secrets(keys)} == {32}


async def test_the_fingerprint_commits_to_the_key(case: Case) -> None:
    [name] = names(Category.CONTACT)
    key = (await case.provide(name))[name]
    assert isinstance(key, DataKey)
    assert key.fingerprint == fingerprint(key.secret)


async def test_a_key_that_never_was_is_not_erased_and_not_minted_by_asking(case: Case) -> None:
    [name] = names(Category.IDENTITY)
    assert await case.ring.fetch([name]) == {name: None}
    assert await case.ring.fetch([name]) == {name: None}
    assert set((await case.ring.states(name[0])).values()) == {KeyState.NEVER}
    assert not await case.ring.knows(name[0])


async def test_nothing_asked_for_is_nothing_answered(case: Case) -> None:
    assert await case.provide() == {}
    assert await case.ring.fetch([]) == {}
    assert await case.ring.erased([]) == set()
    assert await case.ring.standings([]) == {}


async def test_shredding_ends_all_keys_of_the_subject_and_nobody_elses(case: Case) -> None:
    subject, neighbour = uuid4(), uuid4()
    mine = names(Category.IDENTITY, Category.CONTACT, subject_id=subject)
    [other] = names(Category.IDENTITY, subject_id=neighbour)
    keys = await case.provide(*mine, other)

    shredded = await case.ring.shred(subject)

    assert shredded.fingerprints == {name[1]: print_of(keys[name]) for name in mine}
    fetched = await case.ring.fetch([*mine, other])
    assert all(isinstance(fetched[name], Erased) for name in mine)
    assert fetched[other] == keys[other]
    assert await case.ring.erased([subject, neighbour]) == {subject}
    states = await case.ring.states(subject)
    assert states[Category.IDENTITY] is KeyState.ERASED
    assert states[Category.CONVERSATION] is KeyState.NEVER
    assert (await case.ring.states(neighbour))[Category.IDENTITY] is KeyState.ACTIVE


async def test_shredding_again_answers_the_same(case: Case) -> None:
    [name] = names(Category.IDENTITY)
    await case.provide(name)
    assert await case.ring.shred(name[0]) == await case.ring.shred(name[0])


async def test_no_key_is_minted_behind_the_fence(case: Case) -> None:
    subject = uuid4()
    had, had_not = names(Category.IDENTITY, Category.CONVERSATION, subject_id=subject)
    await case.provide(had)
    await case.ring.shred(subject)
    keys = await case.provide(had, had_not)
    assert isinstance(keys[had], Erased)
    assert isinstance(keys[had_not], Erased)
    assert await case.ring.fetch([had_not]) == {had_not: None}


async def test_a_subject_without_keys_is_fenced_all_the_same(case: Case) -> None:
    [name] = names(Category.IDENTITY)
    assert (await case.ring.shred(name[0])).fingerprints == {}
    assert isinstance((await case.provide(name))[name], Erased)
    assert await case.ring.erased([name[0]]) == {name[0]}
    assert await case.ring.knows(name[0])


async def test_keys_are_counted_by_state(case: Case) -> None:
    subject = uuid4()
    await case.provide(*names(Category.IDENTITY, Category.CONTACT, subject_id=subject))
    await case.provide(*names(Category.IDENTITY))
    await case.ring.shred(subject)
    assert await case.ring.counts() == {
        (Category.IDENTITY, KeyState.ACTIVE): 1,
        (Category.IDENTITY, KeyState.ERASED): 1,
        (Category.CONTACT, KeyState.ERASED): 1,
    }


async def test_a_key_does_not_show_itself_in_text(case: Case) -> None:
    [name] = names(Category.IDENTITY)
    key = (await case.provide(name))[name]
    assert isinstance(key, DataKey)
    assert repr(key.secret) not in repr(key)
    assert "secret" not in repr(key)


PHONE = frozenset({Category.CONTACT})
PAIR = (Category.IDENTITY, Category.CONTACT)


async def test_a_category_is_erased_alone(case: Case) -> None:
    subject = uuid4()
    kept, gone = names(Category.FINANCIAL, Category.CONTACT, subject_id=subject)
    keys = await case.provide(kept, gone)

    shredded = await case.ring.shred(subject, PHONE)

    assert shredded.fingerprints == {Category.CONTACT: print_of(keys[gone])}
    fetched = await case.ring.fetch([kept, gone])
    assert fetched[kept] == keys[kept]
    assert isinstance(fetched[gone], Erased)
    provided = await case.provide(kept, gone)
    assert provided[kept] == keys[kept]
    assert isinstance(provided[gone], Erased)
    assert await case.ring.erased([subject]) == set()
    assert await case.ring.standings([subject]) == {subject: Standing(erased_categories=PHONE)}
    assert await case.ring.shred(subject, PHONE) == shredded


async def test_no_key_is_minted_in_an_erased_category_that_never_had_one(case: Case) -> None:
    subject = uuid4()
    never, other = names(Category.CONTACT, Category.IDENTITY, subject_id=subject)
    assert (await case.ring.shred(subject, PHONE)).fingerprints == {}
    keys = await case.provide(never, other)
    assert isinstance(keys[never], Erased)
    assert isinstance(keys[other], DataKey)
    assert isinstance((await case.ring.fetch([never]))[never], Erased)
    assert (await case.ring.states(subject))[Category.CONTACT] is KeyState.ERASED
    assert await case.ring.counts() == {(Category.IDENTITY, KeyState.ACTIVE): 1}


async def test_the_whole_subject_may_be_erased_after_a_category(case: Case) -> None:
    subject = uuid4()
    wanted = names(Category.FINANCIAL, Category.CONTACT, subject_id=subject)
    keys = await case.provide(*wanted)
    await case.ring.shred(subject, PHONE)
    whole = await case.ring.shred(subject)
    assert whole.fingerprints == {name[1]: print_of(keys[name]) for name in wanted}
    assert await case.ring.erased([subject]) == {subject}
    [standing] = (await case.ring.standings([subject])).values()
    assert standing == Standing(erased=True, erased_categories=frozenset(whole.fingerprints))
    assert await case.ring.shred(subject, PHONE) == await case.ring.shred(subject, PHONE)


async def test_nothing_of_a_held_subject_is_destroyed(case: Case) -> None:
    subject, neighbour, first, second = uuid4(), uuid4(), uuid4(), uuid4()
    [name] = names(Category.CONTACT, subject_id=subject)
    [other] = names(Category.CONTACT, subject_id=neighbour)
    keys = await case.provide(name, other)
    for hold_id in (first, second, first):
        assert await case.ring.hold(hold_id, subject)
    for categories in (frozenset[Category](), PHONE):
        with pytest.raises(SubjectIsHeld):
            await case.ring.shred(subject, categories)
    await case.ring.release(first, subject)
    with pytest.raises(SubjectIsHeld):
        await case.ring.shred(subject)
    assert await case.ring.fetch([name]) == {name: keys[name]}
    assert await case.provide(name) == {name: keys[name]}
    assert await case.ring.standings([subject, neighbour]) == {subject: Standing(held=True)}
    await case.ring.shred(neighbour)

    for _ in range(2):
        await case.ring.release(second, subject)
    assert set((await case.ring.shred(subject)).fingerprints) == {Category.CONTACT}


async def test_who_is_erased_is_held_no_more(case: Case) -> None:
    subject = uuid4()
    await case.ring.shred(subject)
    assert not await case.ring.hold(uuid4(), subject)
    assert await case.ring.standings([subject]) == {subject: Standing(erased=True)}


async def test_what_was_destroyed_before_a_hold_may_be_told_again(case: Case) -> None:
    """An erasure that was killed after its keys were destroyed still has to be recorded."""
    subject = uuid4()
    [name] = names(Category.CONTACT, subject_id=subject)
    await case.provide(name)
    shredded = await case.ring.shred(subject, PHONE)
    assert await case.ring.hold(uuid4(), subject)
    assert await case.ring.shred(subject, PHONE) == shredded
    with pytest.raises(SubjectIsHeld):
        await case.ring.shred(subject, PHONE | {Category.IDENTITY})


async def test_whoever_seals_is_told_of_a_restriction(case: Case) -> None:
    subject, neighbour = uuid4(), uuid4()
    [name] = names(Category.IDENTITY, subject_id=subject)
    [other] = names(Category.IDENTITY, subject_id=neighbour)
    before = await case.provide(name, other)
    assert {isinstance(key, DataKey) and key.restricted for key in before.values()} == {False}

    await case.ring.restrict(subject, True, position=5)

    for _ in range(2):
        keys = await case.provide(name, other)
        assert {it: isinstance(key, DataKey) and key.restricted for it, key in keys.items()} == {
            name: True,
            other: False,
        }
    assert secrets(keys) == secrets(before)
    assert await case.ring.standings([subject, neighbour]) == {subject: Standing(restricted=True)}
    await case.ring.restrict(subject, False, position=6)
    assert await case.provide(name, other) == before
    assert await case.ring.standings([subject]) == {}


async def test_what_the_log_said_earlier_does_not_undo_what_it_said_later(case: Case) -> None:
    subject = uuid4()
    await case.ring.restrict(subject, True, position=5)
    await case.ring.restrict(subject, False, position=9)
    await case.ring.restrict(subject, True, position=5)
    assert await case.ring.standings([subject]) == {}
    await case.ring.restrict(subject, True, position=10)
    await case.ring.restrict(subject, False, position=9)
    assert await case.ring.standings([subject]) == {subject: Standing(restricted=True)}


async def test_keys_and_standings_are_answered_together_as_apart(case: Case) -> None:
    living, erased, partly, restricted, keyless, nobody = (uuid4() for _ in range(6))
    every = [(it, category) for it in (living, erased, partly, restricted) for category in PAIR]
    await case.provide(*every)
    await case.ring.shred(erased)
    await case.ring.shred(partly, PHONE)
    await case.ring.hold(uuid4(), partly)
    await case.ring.restrict(restricted, True, position=7)
    await case.ring.restrict(keyless, True, position=8)
    wanted = [
        *every[::3],
        (partly, Category.CONTACT),
        (keyless, Category.IDENTITY),
        (nobody, Category.IDENTITY),
    ]
    people = [living, erased, partly, restricted, keyless, nobody]

    keys, standings = await case.ring.open(wanted, people)

    assert keys == await case.ring.fetch(wanted)
    assert standings == await case.ring.standings(people)
    assert set(standings) == {erased, partly, restricted, keyless}
    assert await case.ring.open([], []) == ({}, {})
    assert await case.ring.open(wanted, [partly]) == (keys, {partly: standings[partly]})


async def mark(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute("SELECT keys.mark()")).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
@pytest.mark.parametrize("known", [False, True])
async def test_erasing_waits_for_whoever_is_sealing(case: Case, url: str, known: bool) -> None:
    """Also for a subject that nobody knew before: its row is locked by being new."""
    name, *others = [*names(Category.IDENTITY), *names(*PAIR)]
    if known:
        await case.provide(name)
    async with case.transaction() as within:
        provided = (await case.ring.provide([name, *others], within=within))[name]
        erasing = asyncio.create_task(case.ring.shred(name[0]))
        restricting = asyncio.create_task(case.ring.restrict(others[0][0], True, position=1))
        while await waiting(url) < 2:
            assert not any(it.done() for it in (erasing, restricting))
            await asyncio.sleep(0.01)
    await restricting
    assert (await erasing).fingerprints == {Category.IDENTITY: print_of(provided)}
    assert isinstance((await case.provide(name))[name], Erased)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
@pytest.mark.parametrize("stored", [True, False])
async def test_of_two_who_seal_for_somebody_new_at_once_both_have_the_key_that_is_stored(
    case: Case, url: str, stored: bool
) -> None:
    shared, other = [*names(Category.IDENTITY), *names(Category.CONTACT)]
    first: Mapping[KeyName, DataKey | Erased] = {}
    with suppress(ConnectionResetError):
        async with case.transaction() as within:
            first = await case.ring.provide([shared], within=within)
            second = asyncio.create_task(case.provide(shared, other))
            while await waiting(url) < 1:
                assert not second.done()
                await asyncio.sleep(0.01)
            if not stored:
                raise ConnectionResetError
    keys = await second
    assert (keys[shared] == first[shared]) is stored
    assert await case.ring.fetch([shared, other]) == keys


async def waiting(url: str) -> int:
    """How many of the database's sessions wait for a lock."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        [number] = await found.fetchone() or [0]
    return int(number)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_the_mark_turns_with_every_standing_that_withholds(case: Case, url: str) -> None:
    subject = uuid4()
    wanted = names(*PAIR, subject_id=subject)
    marks = [await mark(url)]
    for turning in (
        case.ring.restrict(subject, True, position=1),
        case.ring.restrict(subject, False, position=2),
        case.ring.restrict(uuid4(), True, position=3),
        case.ring.shred(subject, PHONE),
        case.ring.shred(uuid4(), PHONE),
        case.ring.shred(subject),
        case.ring.shred(uuid4()),
    ):
        await turning
        marks.append(await mark(url))
    assert len(set(marks)) == len(marks)

    await case.provide(*wanted, *names(*PAIR))
    await case.ring.fetch(wanted)
    assert await mark(url) == marks[-1]


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_the_mark_turns_no_sooner_than_what_it_stands_for_is_seen(case: Case, url: str) -> None:
    subject = uuid4()
    await case.provide(*names(Category.IDENTITY, subject_id=subject))
    before = await mark(url)
    async with case.transaction() as within:
        await within.execute("SELECT keys.shred(%s)", [subject])
        assert await mark(url) == before
        assert await case.ring.standings([subject]) == {}
    assert await mark(url) != before
    assert (await case.ring.standings([subject]))[subject].erased
