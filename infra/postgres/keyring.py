"""The key ring in PostgreSQL: wrapped keys behind functions, unwrapped in memory for a minute at most."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection, DatabaseError
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int4, Int8
from psycopg_pool import AsyncConnectionPool

from domain.model import Category, Erased
from infra import arrays
from infra.kek import KekUnusable, data_key_place, fingerprint, mint, mint_many, system_key_place
from infra.outage import unavailable_on_outage
from infra.postgres.epochs import LivingKeks
from infra.postgres.unwrapped import CACHED_SECONDS_MAX, UnwrappedKeys
from services.ports import (
    NOTHING_STANDS,
    DataKey,
    KeyLost,
    KeyName,
    KeyState,
    Shredded,
    Standing,
    SubjectIsHeld,
)

Pool = AsyncConnectionPool[AsyncConnection[Any]]
CATEGORIES = {category.value: category for category in Category}
ATTEMPTS_MAX = 4
"""How often a question is asked while a rotation goes on beside it; twice is the most that it takes."""
ERASED = KeyState.ERASED.value
HELD = "LT001"
"""The SQLSTATE with which `keys.shred` refuses."""


@dataclass(frozen=True, slots=True)
class Tombstone(Erased):
    """What is left of an erased key: the fence, and which key it was (none, if none was ever minted)."""

    fingerprint: str | None


class _Closed(NamedTuple):
    """A key as it is stored."""

    name: KeyName
    fingerprint: str
    wrapped: bytes
    epoch: int


class PostgresKeyRing:
    """Implements `services.ports.KeyRing`, `KeyShredder` and `SubjectMarks`. Safe to share between tasks.

    The store is asked every time, so that an erasure by any process counts at once; memory only saves the
    unwrapping. A rotation by any process shows in the answers: then the KEKs are looked for anew, and the
    question is asked again.
    """

    def __init__(
        self,
        pool: Pool,
        keks: LivingKeks,
        namespace: str,
        *,
        cache_seconds: float = CACHED_SECONDS_MAX,
    ) -> None:
        self._pool = pool
        self._keks = keks
        self._namespace = namespace
        self._unwrapped = UnwrappedKeys(cache_seconds)

    async def provide(
        self, names: Collection[KeyName], *, within: AsyncConnection[Any]
    ) -> Mapping[KeyName, DataKey | Erased]:
        """See the port. `within` is the connection whose transaction will store the boxes.

        Keys minted here exist once that transaction commits; they are remembered only by later calls.
        """
        keys: dict[KeyName, DataKey | Erased] = {}
        wanted = list(names)
        for _ in range(ATTEMPTS_MAX):
            try:
                present, provided = await self._provided(wanted, within)
            except (KekUnusable, KeyLost):
                if not await self._keks.turned(within):
                    raise
                continue
            keys |= provided
            wanted = [name for name in wanted if name not in provided]
            if wanted or present != self._keks.number:
                self._unwrapped.drop(wanted)  # remembered from a transaction that was rolled back
                await self._keks.look(within)
            if not wanted:
                return keys
        raise _lost(wanted[0], "cannot be minted, or its epoch's KEK is not to be had")

    async def _provided(
        self, names: Sequence[KeyName], within: AsyncConnection[Any]
    ) -> tuple[int, Mapping[KeyName, DataKey | Erased]]:
        """The present epoch, and as many of the keys as could be provided by the KEKs that are known."""
        offers = await self._offers(names)
        rows = await _rows(
            within,
            "SELECT * FROM keys.provide(%b, %b, %b, %b, %b)",
            Int4(self._keks.number),
            arrays.uuids([subject_id for subject_id, _ in names]),
            arrays.texts([category for _, category in names]),
            arrays.byteas([offer and bytes.fromhex(offer[0].fingerprint) for offer in offers]),
            arrays.byteas([offer and offer[1] for offer in offers]),
        )
        if rows and rows[0][1] is None:  # every offer was taken
            return rows[0][0], {name: offer[0] for name, offer in zip(names, offers, strict=True) if offer}
        offered = dict(zip(names, offers, strict=True))
        keys: dict[KeyName, DataKey | Erased] = {}
        closed: list[_Closed] = []
        marked: set[KeyName] = set()
        present = self._keks.number
        for present, subject_id, text, erased, restricted, print_, box, epoch in rows:  # noqa: B007
            name = (subject_id, CATEGORIES[text])
            offer = offered[name]
            if restricted:
                marked.add(name)
            if erased:
                keys[name] = Tombstone(name[1], print_ and print_.hex())
            elif offer is not None and offer[1] == box:
                keys[name] = offer[0]
            elif box is not None:
                closed.append(_Closed(name, print_.hex(), box, epoch))
        keys |= await self._open(closed)
        for name in marked:
            if isinstance(key := keys.get(name), DataKey):
                keys[name] = replace(key, restricted=True)
        return present, keys

    async def _offers(self, names: Sequence[KeyName]) -> list[tuple[DataKey, bytes] | None]:
        """A new key and its wrapped form for each name that is not known to have one.

        It is used only where there is none yet.
        """
        unknown = [name not in self._unwrapped for name in names]
        minted = mint_many(sum(unknown))
        places = [
            data_key_place(self._namespace, *name, key.fingerprint)
            for name, key in zip(compress(names, unknown), minted, strict=True)
        ]
        wrapped = await self._keks.present.wrap([key.secret for key in minted], places)
        offers = zip(minted, wrapped, strict=True)
        return [next(offers) if it else None for it in unknown]

    async def open(
        self, names: Collection[KeyName], people: Collection[UUID]
    ) -> tuple[Mapping[KeyName, DataKey | Erased | None], Mapping[UUID, Standing]]:
        """See the port. Raises `KeyLost` as `fetch` does."""
        wanted = set(names)
        asked = {subject_id for subject_id, _ in wanted}.union(people)
        keys: dict[KeyName, DataKey | Erased | None] = dict.fromkeys(wanted)
        if not asked:
            return keys, {}
        rows = await self._ask("SELECT * FROM keys.open(%b)", arrays.uuids(asked))
        oldest = self._keks.oldest
        standings: dict[UUID, Standing] = {}
        closed: list[_Closed] = []
        for subject_id, erased, restricted, held, oldest, text, state, print_, box, epoch in rows:  # noqa: B007
            gone = state == ERASED
            if erased or restricted or held or gone:
                before = standings.get(subject_id, NOTHING_STANDS).erased_categories
                categories = before | {CATEGORIES[text]} if gone else before
                standings[subject_id] = Standing(erased, categories, restricted, held)
            if text is None or (name := (subject_id, CATEGORIES[text])) not in wanted:
                continue
            if gone:
                keys[name] = Tombstone(name[1], print_ and print_.hex())
                self._unwrapped.drop([name])
            else:
                closed.append(_Closed(name, print_.hex(), box, epoch))
        opened: Mapping[KeyName, DataKey] = {}
        with suppress(KekUnusable, KeyLost):  # an epoch may be turning: then `fetch` asks again
            opened = await self._open(closed)
        keys |= opened
        if oldest != self._keks.oldest:
            await self._turned()
        if len(opened) < len(closed):
            keys |= await self.fetch([it.name for it in closed if it.name not in opened])
        return keys, {id: it for id, it in standings.items() if id in people}

    async def fetch(self, names: Collection[KeyName]) -> Mapping[KeyName, DataKey | Erased | None]:
        """See the port. Raises `KeyLost` for a key that is stored and does not unwrap."""
        keys: dict[KeyName, DataKey | Erased | None] = dict.fromkeys(names)
        wanted: Collection[KeyName] = keys.keys()
        for _ in range(ATTEMPTS_MAX):
            if not wanted:
                return keys
            oldest, found, closed = await self._fetched(wanted)
            keys |= found
            try:
                opened = await self._open(closed)
            except (KekUnusable, KeyLost):
                if not await self._turned():
                    raise
                continue
            keys |= opened
            wanted = [it.name for it in closed if it.name not in opened]
            if wanted or oldest != self._keks.oldest:
                await self._turned()
        raise _lost(next(iter(wanted)), "is wrapped under an epoch whose KEK is not to be had")

    async def _fetched(
        self, names: Collection[KeyName]
    ) -> tuple[int, Mapping[KeyName, Tombstone], Sequence[_Closed]]:
        """The earliest epoch that lives, tombstones, and keys as they are stored."""
        rows = await self._ask(
            "SELECT * FROM keys.fetch(%b, %b)",
            [subject_id for subject_id, _ in names],
            [str(category) for _, category in names],
        )
        oldest = self._keks.oldest
        tombstones: dict[KeyName, Tombstone] = {}
        closed: list[_Closed] = []
        for oldest, subject_id, text, state, print_, box, epoch in rows:  # noqa: B007
            name = (subject_id, CATEGORIES[text])
            if state == KeyState.ERASED:
                tombstones[name] = Tombstone(name[1], print_ and print_.hex())
                self._unwrapped.drop([name])
            else:
                closed.append(_Closed(name, print_.hex(), box, epoch))
        return oldest, tombstones, closed

    async def _open(self, closed: Sequence[_Closed]) -> dict[KeyName, DataKey]:
        """The keys in clear, but for those whose epoch's KEK is not known to this process."""
        keys: dict[KeyName, DataKey] = {}
        unknown: list[_Closed] = []
        for it in closed:
            key = self._unwrapped.get(it.name, it.wrapped)
            if key is None:
                unknown.append(it)
            else:
                keys[it.name] = key
        for it, key in await self._unwrap(unknown):
            if key is None:
                raise _lost(it.name, "does not unwrap under its KEK")
            self._unwrapped.put(it.name, it.wrapped, key)
            keys[it.name] = key
        return keys

    async def _unwrap(self, closed: Iterable[_Closed]) -> list[tuple[_Closed, DataKey | None]]:
        """Those whose epoch's KEK is known, each with its key; None where it does not unwrap."""
        groups: dict[int, list[_Closed]] = {}
        for it in closed:
            groups.setdefault(it.epoch, []).append(it)
        unwrapped: list[tuple[_Closed, DataKey | None]] = []
        for epoch, group in groups.items():
            if (kek := self._keks.of(epoch)) is not None:
                places = [data_key_place(self._namespace, *it.name, it.fingerprint) for it in group]
                secrets = await kek.unwrap([it.wrapped for it in group], places)
                unwrapped += zip(group, map(_key, group, secrets), strict=True)
        return unwrapped

    async def states(self, subject_id: UUID) -> Mapping[Category, KeyState]:
        """Lost is a key that is stored as active and does not unwrap, or whose epoch's KEK is gone."""
        for _ in range(ATTEMPTS_MAX):
            states = dict.fromkeys(Category, KeyState.NEVER)
            closed: list[_Closed] = []
            rows = await self._ask("SELECT * FROM keys.of_subject(%b)", subject_id)
            for text, state, print_, box, epoch in rows:
                states[CATEGORIES[text]] = KeyState(state)
                if state == KeyState.ACTIVE:
                    closed.append(_Closed((subject_id, CATEGORIES[text]), print_.hex(), box, epoch))
            opened = {it.name: key for it, key in await self._unwrap(closed)}
            lost = [it.name[1] for it in closed if opened.get(it.name) is None]
            if not lost or not await self._turned():
                break
        for category in lost:
            states[category] = KeyState.LOST
        return states

    async def erased(self, subject_ids: Collection[UUID]) -> Set[UUID]:
        if not subject_ids:
            return set()
        rows = await self._ask("SELECT * FROM keys.erased(%b)", list(subject_ids))
        return {subject_id for (subject_id,) in rows}

    async def knows(self, subject_id: UUID) -> bool:
        """Whether anything was ever sealed for the subject, or its fence is up."""
        [(known,)] = await self._ask("SELECT keys.knows(%b)", subject_id)
        return bool(known)

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        if not subject_ids:
            return {}
        rows = await self._ask("SELECT * FROM keys.standings(%b)", arrays.uuids(subject_ids))
        return {
            subject_id: Standing(erased, frozenset(CATEGORIES[it] for it in categories), restricted, held)
            for subject_id, erased, categories, restricted, held in rows
        }

    async def restrict(self, subject_id: UUID, restricted: bool, *, position: int) -> None:
        await self._ask("SELECT keys.restrict(%b, %b, %b)", subject_id, restricted, Int8(position))

    async def hold(self, hold_id: UUID, subject_id: UUID) -> bool:
        [(held,)] = await self._ask("SELECT keys.hold(%b, %b)", hold_id, subject_id)
        return bool(held)

    async def release(self, hold_id: UUID, subject_id: UUID) -> None:
        await self._ask("SELECT keys.release(%b, %b)", hold_id, subject_id)

    async def shred(self, subject_id: UUID, categories: Set[Category] = frozenset()) -> Shredded:
        names = [(subject_id, category) for category in categories or Category]
        self._unwrapped.drop(names)
        try:
            rows = await self._ask(
                "SELECT * FROM keys.shred(%b, %b)", subject_id, sorted(map(str, categories))
            )
        except DatabaseError as error:
            if error.sqlstate == HELD:
                raise SubjectIsHeld(subject_id) from None
            raise
        # Again: a reader may have unwrapped one while the first statement was under way.
        self._unwrapped.drop(names)
        return Shredded(subject_id, {CATEGORIES[text]: print_.hex() for text, print_ in sorted(rows)})

    async def counts(self) -> Mapping[tuple[Category, KeyState], int]:
        """How many keys there are, by category and state."""
        rows = await self._ask("SELECT * FROM keys.counts()")
        return {(CATEGORIES[text], KeyState(state)): number for text, state, number in rows}

    async def unsealed(self, subject_ids: Collection[UUID]) -> Set[KeyName]:
        """Erased keys that an old copy of the key store may still hold under a KEK that exists."""
        rows = await self._ask("SELECT * FROM keys.unsealed(%b)", list(subject_ids))
        return {(subject_id, CATEGORIES[text]) for subject_id, text in rows}

    async def system_key(self, name: str) -> DataKey:
        """The system's own key of this name, minted at first use."""
        offer = mint()
        place = system_key_place(self._namespace, name, offer.fingerprint)
        for _ in range(ATTEMPTS_MAX):
            try:
                [wrapped] = await self._keks.present.wrap([offer.secret], [place])
            except KekUnusable:
                if not await self._turned():
                    raise
                continue
            rows = await self._ask(
                "SELECT * FROM keys.provide_system_key(%b, %b, %b, %b)",
                name,
                Int4(self._keks.number),
                bytes.fromhex(offer.fingerprint),
                wrapped,
            )
            for print_, box, epoch in rows:
                if (kek := self._keks.of(epoch)) is not None:
                    stored_at = system_key_place(self._namespace, name, print_.hex())
                    [secret] = await kek.unwrap([box], [stored_at])
                    if secret is None or fingerprint(secret) != print_.hex():
                        raise KeyLost(f"the system key {name!r} does not unwrap under its KEK")
                    return DataKey(print_.hex(), secret)
            await self._turned()
        raise KeyLost(f"the system key {name!r} is wrapped under an epoch whose KEK is not to be had")

    async def look(self) -> None:
        """Learn which epochs live, also where no key is asked for; the KEKs of ended ones are let go."""
        await self._turned()

    async def _turned(self) -> bool:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await self._keks.turned(connection)

    async def _ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await _rows(connection, query, *values)


async def _rows(connection: AsyncConnection[Any], query: str, *values: Any) -> list[tuple[Any, ...]]:
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()


def _key(closed: _Closed, secret: bytes | None) -> DataKey | None:
    """The fingerprint commits to the key: another secret is none."""
    if secret is None or fingerprint(secret) != closed.fingerprint:
        return None
    return DataKey(closed.fingerprint, secret)


def _lost(name: KeyName, how: str) -> KeyLost:
    return KeyLost(f"the {name[1]} key of subject {name[0]} {how}")
