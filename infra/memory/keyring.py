"""The key ring in memory: the twin of the one in PostgreSQL, for fast tests. Nothing is wrapped."""

from collections import Counter
from collections.abc import Collection, Mapping, Set
from typing import Any
from uuid import UUID

from domain.model import Category, Erased
from infra.kek import mint
from services.ports import DataKey, KeyName, KeyState, Shredded


class MemoryKeyRing:
    """Implements `services.ports.KeyRing` and `KeyShredder`. One event loop is its only lock."""

    def __init__(self) -> None:
        self._keys: dict[KeyName, DataKey] = {}
        self._tombstones: dict[KeyName, str] = {}
        self._subjects: set[UUID] = set()
        self._fenced: set[UUID] = set()

    async def provide(self, names: Collection[KeyName], *, within: Any) -> Mapping[KeyName, DataKey | Erased]:
        """See the port. `within` is of no use here: what is minted stays, whatever becomes of the caller."""
        self._subjects.update(subject_id for subject_id, _ in names)
        return {name: self._provided(name) for name in names}

    def _provided(self, name: KeyName) -> DataKey | Erased:
        subject_id, category = name
        if subject_id in self._fenced:
            return Erased(category)
        return self._keys.setdefault(name, mint())

    async def fetch(self, names: Collection[KeyName]) -> Mapping[KeyName, DataKey | Erased | None]:
        return {name: Erased(name[1]) if name in self._tombstones else self._keys.get(name) for name in names}

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

    async def shred(self, subject_id: UUID) -> Shredded:
        self._subjects.add(subject_id)
        self._fenced.add(subject_id)
        for category in Category:
            key = self._keys.pop((subject_id, category), None)
            if key is not None:
                self._tombstones[subject_id, category] = key.fingerprint
        found = ((category, self._tombstones.get((subject_id, category))) for category in sorted(Category))
        return Shredded(subject_id, {category: print_ for category, print_ in found if print_ is not None})

    async def counts(self) -> Mapping[tuple[Category, KeyState], int]:
        """How many keys there are, by category and state."""
        return Counter((name[1], self._state(name)) for name in (*self._keys, *self._tombstones))
