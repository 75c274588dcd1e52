"""The access log in memory, for fast tests."""

from datetime import datetime
from uuid import UUID

from infra.accesslog import AccessFilter, Batch, Kept, newest_first


class MemoryAccesses:
    """Implements `infra.accesslog.AccessStore`."""

    def __init__(self) -> None:
        self._batches: list[tuple[UUID, datetime, bytes | None]] = []

    async def append(self, batch: Batch) -> None:
        if batch.id not in {id for id, _, _ in self._batches}:
            self._batches.append((batch.id, max(it.at for it in batch.accesses), batch.body()))

    async def find(
        self, where: AccessFilter, *, limit: int, before: tuple[int, int] | None = None
    ) -> list[Kept]:
        kept = [
            it
            for number, (_, _, body) in reversed(list(enumerate(self._batches, 1)))
            if body is not None
            for it in newest_first(number, body, where, before)
        ]
        return kept[:limit]

    async def prune(self, until: datetime) -> int:
        old = [it for it, (_, last_at, body) in enumerate(self._batches) if body and last_at < until]
        for it in old:
            self._batches[it] = (*self._batches[it][:2], None)
        return len(old)
