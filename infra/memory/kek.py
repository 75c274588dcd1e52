"""KEKs in memory only: the twin of the places that keep them, for fast tests."""

import os
from collections.abc import Mapping

from infra.kek import FileKek, KekUnusable
from infra.kek.keys import SECRET_BYTES


class MemoryKekPlace:
    """Implements `infra.kek.KekPlace`."""

    def __init__(self, *keks: FileKek) -> None:
        self._keks = {kek.id: kek for kek in keks}

    async def found(self) -> FileKek:
        return next(reversed(self._keks.values())) if self._keks else await self.add()

    async def all(self) -> Mapping[str, FileKek]:
        if not self._keks:
            raise KekUnusable("there is no KEK in memory")
        return dict(self._keks)

    async def add(self) -> FileKek:
        kek = FileKek(os.urandom(SECRET_BYTES))
        self._keks[kek.id] = kek
        return kek

    async def destroy(self, kek_id: str) -> None:
        if kek_id == next(reversed(self._keks)):
            raise KekUnusable(f"the KEK {kek_id} is the newest in memory: it is not destroyed")
        self._keks.pop(kek_id, None)
