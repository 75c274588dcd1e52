"""The key ring in PostgreSQL: wrapped keys behind functions, unwrapped in memory for a minute at most."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, DatabaseError
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8
from psycopg_pool import AsyncConnectionPool

from domain.model import Category, Erased
from infra.kek import KeyEncryptionKey, data_key_place, fingerprint, mint, mint_many, system_key_place
from infra.outage import unavailable_on_outage
from services.ports import DataKey, KeyLost, KeyName, KeyState, Shredded, Standing, SubjectIsHeld

Pool = AsyncConnectionPool[AsyncConnection[Any]]
CATEGORIES = {category.value: category for category in Category}
CACHED_SECONDS_MAX = 60.0
CACHED_KEYS_MAX = 50_000
HELD = "LT001"
"""The SQLSTATE with which `keys.shred` refuses."""


@dataclass(frozen=True, slots=True)
class Tombstone(Erased):
    """What is left of an erased key: the fence, and which key it was (none, if none was ever minted)."""

    fingerprint: str | None


class PostgresKeyRing:
    """Implements `services.ports.KeyRing`, `KeyShredder` and `SubjectMarks`. Safe to share between tasks.

    The store is asked every time, so that an erasure by any process counts at once; memory only saves the
    unwrapping.
    """

    def __init__(
        self,
        pool: Pool,
        kek: KeyEncryptionKey,
        namespace: str,
        *,
        cache_seconds: float = CACHED_SECONDS_MAX,
    ) -> None:
        self._pool = pool
        self._kek = kek
        self._namespace = namespace
        self._unwrapped = _Unwrapped(min(cache_seconds, CACHED_SECONDS_MAX))

    async def provide(
        self, names: Collection[KeyName], *, within: AsyncConnection[Any]
    ) -> Mapping[KeyName, DataKey | Erased]:
        """See the port. `within` is the connection whose transaction will store the boxes.

        Keys minted here exist once that transaction commits; they are remembered only by later calls.
        """
        wanted = list(names)
        offers = await self._offers(wanted)
        rows = await _rows(
            within,
            "SELECT * FROM keys.provide(%b, %b, %b, %b)",
            [subject_id for subject_id, _ in wanted],
            [str(category) for _, category in wanted],
            [offer and bytes.fromhex(offer[0].fingerprint) for offer in offers],
            [offer and offer[1] for offer in offers],
        )
        offered = dict(zip(wanted, offers, strict=True))
        keys: dict[KeyName, DataKey | Erased] = {}
        closed: list[tuple[KeyName, str, bytes]] = []
        gone: list[KeyName] = []
        marked: set[KeyName] = set()
        for subject_id, text, erased, restricted, print_, box in rows:
            name = (subject_id, CATEGORIES[text])
            offer = offered[name]
            if restricted:
                marked.add(name)
            if erased:
                keys[name] = Tombstone(name[1], print_ and print_.hex())
            elif box is None:
                gone.append(name)  # remembered from a transaction that was rolled back
            elif offer is not None and offer[1] == box:
                keys[name] = offer[0]
            else:
                closed.append((name, print_.hex(), box))
        keys |= await self._open(closed)
        if gone:
            self._unwrapped.drop(gone)
            keys |= await self.provide(gone, within=within)
        return keys | {
            name: replace(key, restricted=True)
            for name, key in keys.items()
            if name in marked and isinstance(key, DataKey)
        }

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
        wrapped = await self._kek.wrap([key.secret for key in minted], places)
        offers = zip(minted, wrapped, strict=True)
        return [next(offers) if it else None for it in unknown]

    async def fetch(self, names: Collection[KeyName]) -> Mapping[KeyName, DataKey | Erased | None]:
        """See the port. Raises `KeyLost` for a key that is stored and does not unwrap."""
        keys: dict[KeyName, DataKey | Erased | None] = dict.fromkeys(names)
        if not keys:
            return keys
        rows = await self._ask(
            "SELECT * FROM keys.fetch(%b, %b)",
            [subject_id for subject_id, _ in keys],
            [str(category) for _, category in keys],
        )
        closed: list[tuple[KeyName, str, bytes]] = []
        for subject_id, text, state, print_, box in rows:
            name = (subject_id, CATEGORIES[text])
            if state == KeyState.ERASED:
                keys[name] = Tombstone(name[1], print_ and print_.hex())
                self._unwrapped.drop([name])
            else:
                closed.append((name, print_.hex(), box))
        return keys | await self._open(closed)

    async def _open(self, closed: Sequence[tuple[KeyName, str, bytes]]) -> dict[KeyName, DataKey]:
        keys: dict[KeyName, DataKey] = {}
        unknown: list[tuple[KeyName, str, bytes]] = []
        for name, print_, box in closed:
            key = self._unwrapped.get(name, box)
            if key is None:
                unknown.append((name, print_, box))
            else:
                keys[name] = key
        for (name, _, box), key in zip(unknown, await self._unwrap(unknown), strict=True):
            if key is None:
                raise _lost(name, "does not unwrap under this KEK")
            self._unwrapped.put(name, box, key)
            keys[name] = key
        return keys

    async def _unwrap(self, closed: Sequence[tuple[KeyName, str, bytes]]) -> list[DataKey | None]:
        places = [data_key_place(self._namespace, *name, print_) for name, print_, _ in closed]
        opened = await self._kek.unwrap([box for _, _, box in closed], places)
        return [
            DataKey(print_, secret) if secret is not None and fingerprint(secret) == print_ else None
            for (_, print_, _), secret in zip(closed, opened, strict=True)
        ]

    async def states(self, subject_id: UUID) -> Mapping[Category, KeyState]:
        """Lost is a key that is stored as active and does not unwrap."""
        states = dict.fromkeys(Category, KeyState.NEVER)
        closed: list[tuple[KeyName, str, bytes]] = []
        for text, state, print_, box in await self._ask("SELECT * FROM keys.of_subject(%b)", subject_id):
            states[CATEGORIES[text]] = KeyState(state)
            if state == KeyState.ACTIVE:
                closed.append(((subject_id, CATEGORIES[text]), print_.hex(), box))
        for ((_, category), _, _), key in zip(closed, await self._unwrap(closed), strict=True):
            if key is None:
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
        rows = await self._ask("SELECT * FROM keys.standings(%b)", list(subject_ids))
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

    async def system_key(self, name: str) -> DataKey:
        """The system's own key of this name, minted at first use."""
        offer = mint()
        place = system_key_place(self._namespace, name, offer.fingerprint)
        [wrapped] = await self._kek.wrap([offer.secret], [place])
        offered = bytes.fromhex(offer.fingerprint)
        rows = await self._ask("SELECT * FROM keys.provide_system_key(%b, %b, %b)", name, offered, wrapped)
        [(print_, box)] = rows
        place = system_key_place(self._namespace, name, print_.hex())
        [secret] = await self._kek.unwrap([box], [place])
        if secret is None or fingerprint(secret) != print_.hex():
            raise KeyLost(f"the system key {name!r} does not unwrap under this KEK")
        return DataKey(print_.hex(), secret)

    async def _ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await _rows(connection, query, *values)


async def _rows(connection: AsyncConnection[Any], query: str, *values: Any) -> list[tuple[Any, ...]]:
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()


def _lost(name: KeyName, how: str) -> KeyLost:
    return KeyLost(f"the {name[1]} key of subject {name[0]} {how}")


class _Unwrapped:
    """Unwrapped keys by name, each with the wrapped form it came from; the oldest go first."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._keys: dict[KeyName, tuple[float, bytes, DataKey]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __contains__(self, name: KeyName) -> bool:
        return name in self._keys

    def get(self, name: KeyName, wrapped: bytes) -> DataKey | None:
        kept = self._keys.get(name)
        return kept[2] if kept is not None and kept[1] == wrapped and kept[0] > self._now() else None

    def put(self, name: KeyName, wrapped: bytes, key: DataKey) -> None:
        self._keys.pop(name, None)
        if len(self._keys) >= CACHED_KEYS_MAX:
            del self._keys[next(iter(self._keys))]
        self._keys[name] = (self._now() + self._seconds, wrapped, key)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._seconds, self._forget)

    def drop(self, names: Iterable[KeyName]) -> None:
        for name in names:
            self._keys.pop(name, None)

    def _forget(self) -> None:
        """Time is up also for a key that nobody asks for again."""
        self._sweep = None
        now = self._now()
        while self._keys:
            name = next(iter(self._keys))
            rest = self._keys[name][0] - now
            if rest > 0:
                self._sweep = asyncio.get_running_loop().call_later(rest, self._forget)
                return
            del self._keys[name]
