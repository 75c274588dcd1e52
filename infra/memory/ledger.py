"""The erasure ledger in memory: the twin of the file, for fast tests."""

from uuid import UUID

from services.ports import Recorded


class MemoryLedger:
    """Implements `services.erasures.ErasureLedger`."""

    def __init__(self) -> None:
        self.entered: dict[UUID, str] = {}

    async def enter(self, request: Recorded) -> str:
        return self.entered.setdefault(request.originator_id, f"entry {len(self.entered) + 1}")

    async def retract(self, request: Recorded) -> None:
        self.entered.pop(request.originator_id, None)
