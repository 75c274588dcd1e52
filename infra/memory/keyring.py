"""The key ring in memory: the twin of the one in PostgreSQL, for fast tests. Nothing is wrapped."""

from collections import Counter
from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.model import Category, Erased
from infra.kek import mint
from services.ports import (
    NOTHING_STANDS,
    DataKey,
    KeyName,
    KeyState,
    Shredded,
    Standing,
    SubjectIsHeld,
)


class MemoryKeyRing:
    """Implements `services.ports.KeyRing`, `KeyShredder` and `SubjectMarks`. One event loop is its lock."""

    def __init__(self) -> None:
        self._keys: dict[KeyName, DataKey] = {}
        self._tombstones: dict[KeyName, str | None] = {}
        self._subjects: set[UUID] = set()
        self._fenced: set[UUID] = set()
        self._restricted: dict[UUID, tuple[int, bool]] = {}
        self._holds: set[tuple[UUID, UUID]] = set()

    async def provide(self, names: Collection[KeyName], *, within: Any) -> Mapping[KeyName, DataKey | Erased]:
        """See the port. `within` is of no use here: what is minted stays, whatever becomes of the caller."""
        self._subjects.update(subject_id for subject_id, _ in names)
        return {name: self._provided(name) for name in names}

    def _provided(self, name: KeyName) -> DataKey | Erased:
        subject_id, category = name
        if subject_id in self._fenced or name in self._tombstones:
            return Erased(category)
        key = self._keys.setdefault(name, mint())
        return replace(key, restricted=True) if self._is_restricted(subject_id) else key

    async def fetch(self, names: Collection[KeyName]) -> Mapping[KeyName, DataKey | Erased | None]:
        return {name: Erased(name[1]) if name in self._tombstones else self._keys.get(name) for name in names}

    async def open(
        self, names: Collection[KeyName], people: Collection[UUID]
    ) -> tuple[Mapping[KeyName, DataKey | Erased | None], Mapping[UUID, Standing]]:
        return await self.fetch(names), await self.standings(people)

    async def states(self, subject_id: UUID) -> Mapping[Category, KeyState]:
        return {category: self._state((subject_id, category)) for category in Category}

    def _state(self, name: KeyName) -> KeyState:
        if name in self._tombstones:
            return KeyState.ERASED
        return KeyState.ACTIVE if name in self._keys else KeyState.NEVER

    async def erased(self, subject_ids: Collection[UUID]) -> Set[UUID]:
        return self._fenced.intersection(subject_ids)

    async def knows(self, subject_id: UUID) -> bool:
        """Whether anything was ever sealed for the subject, or its fence is up."""
        return subject_id in self._subjects

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        found = {subject_id: self._standing(subject_id) for subject_id in subject_ids}
        return {subject_id: it for subject_id, it in found.items() if it != NOTHING_STANDS}

    def _standing(self, subject_id: UUID) -> Standing:
        return Standing(
            erased=subject_id in self._fenced,
            erased_categories=frozenset(it for it in Category if (subject_id, it) in self._tombstones),
            restricted=self._is_restricted(subject_id),
            held=self._is_held(subject_id),
        )

    def _is_restricted(self, subject_id: UUID) -> bool:
        return self._restricted.get(subject_id, (0, False))[1]

    def _is_held(self, subject_id: UUID) -> bool:
        return any(held == subject_id for _, held in self._holds)

    async def restrict(self, subject_id: UUID, restricted: bool, *, position: int) -> None:
        self._subjects.add(subject_id)
        if position > self._restricted.get(subject_id, (0, False))[0]:
            self._restricted[subject_id] = (position, restricted)

    async def hold(self, hold_id: UUID, subject_id: UUID) -> bool:
        self._subjects.add(subject_id)
        if subject_id in self._fenced:
            return False
        self._holds.add((hold_id, subject_id))
        return True

    async def release(self, hold_id: UUID, subject_id: UUID) -> None:
        self._holds.discard((hold_id, subject_id))

    async def shred(self, subject_id: UUID, categories: Set[Category] = frozenset()) -> Shredded:
        self._subjects.add(subject_id)
        names = [(subject_id, category) for category in sorted(categories or Category)]
        if not self._gone(subject_id, categories):
            if self._is_held(subject_id):
                raise SubjectIsHeld(subject_id)
            if not categories:
                self._fenced.add(subject_id)
            for name in names:
                key = self._keys.pop(name, None)
                if key is not None or categories:
                    self._tombstones.setdefault(name, key.fingerprint if key else None)
        found = ((name[1], self._tombstones.get(name)) for name in names)
        return Shredded(subject_id, {category: print_ for category, print_ in found if print_ is not None})

    def _gone(self, subject_id: UUID, categories: Set[Category]) -> bool:
        if subject_id in self._fenced:
            return True
        return bool(categories) and all((subject_id, it) in self._tombstones for it in categories)

    async def unsealed(self, subject_ids: Collection[UUID]) -> Set[KeyName]:
        """None: there are no older copies of what is in memory."""
        return frozenset()

    async def counts(self) -> Mapping[tuple[Category, KeyState], int]:
        """How many keys there are, by category and state. A fence where there never was a key is none."""
        erased = [name for name, print_ in self._tombstones.items() if print_ is not None]
        return Counter((name[1], self._state(name)) for name in (*self._keys, *erased))
