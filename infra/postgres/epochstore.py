"""What a rotation asks of the key store, over connections of its own: it takes none from the commands."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected, LockNotAvailable
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int4

from infra.outage import unavailable_on_outage
from infra.postgres.epochs import Epoch, all_epochs
from services.ports import Unavailable

LOCK = 0x6C657468650005
ATTEMPTS_MAX = 30  # longer than a transaction may sit idle
STEP_BACK_SECONDS = 0.2
FLIP_SECONDS_MAX = 1
"""How long commands that mint a key may be kept waiting for one that is slow."""
BEFORE_ALL = (UUID(int=0), "")


class RotationRunning(Exception):
    """Another process rotates the key-encryption key just now."""


class WrappedKey(NamedTuple):
    """A data key as it is stored."""

    subject_id: UUID
    category: str
    fingerprint: bytes
    wrapped: bytes


class WrappedSystemKey(NamedTuple):
    """A key of the system's own as it is stored."""

    name: str
    fingerprint: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class EpochStore:
    """The key store's epochs, while nobody else rotates. One connection reads, the other writes."""

    reading: AsyncConnection[Any]
    writing: AsyncConnection[Any]

    async def epochs(self) -> list[Epoch]:
        """All that there ever were, oldest first."""
        return await all_epochs(self.reading)

    async def begin(self, last: int, kek_id: str, canary: bytes) -> Epoch:
        """The epoch after the last one. From now on no key is minted in an earlier one.

        Commands that mint keys wait for a second at most. Raises `Unavailable` where one of them does not
        end at all.
        """
        for _ in range(ATTEMPTS_MAX):
            try:
                async with self.writing.transaction():
                    await self.writing.execute(f"SET LOCAL lock_timeout = '{FLIP_SECONDS_MAX}s'".encode())
                    query = "SELECT * FROM keys.begin_epoch(%b, %b, %b)"
                    [row] = await _rows(self.writing, query, Int4(last), kek_id, canary)
            except LockNotAvailable:
                await asyncio.sleep(STEP_BACK_SECONDS)  # those who waited behind us go first
                continue
            return Epoch(*row)
        raise Unavailable("a transaction that mints keys does not end: the epoch cannot turn just now")

    async def page(self, epoch: int, after: tuple[UUID, str], limit: int) -> list[WrappedKey]:
        """Keys that are wrapped under the epoch, in the order of their names."""
        query = "SELECT * FROM keys.wrapped_under(%b, %b, %b, %b)"
        return [
            WrappedKey(*row) for row in await _rows(self.reading, query, Int4(epoch), *after, Int4(limit))
        ]

    async def rewrap(self, old: int, new: int, keys: Sequence[WrappedKey], boxes: Sequence[bytes]) -> int:
        """Put the keys, as they come from `page`, under another epoch; how many. Erased ones stay erased."""
        query = "SELECT keys.rewrap(%b, %b, %b, %b, %b)"
        columns = [it.subject_id for it in keys], [it.category for it in keys], list(boxes)
        for attempt in range(ATTEMPTS_MAX):
            try:
                [(number,)] = await _rows(self.writing, query, Int4(old), Int4(new), *columns)
            except DeadlockDetected:
                if attempt + 1 == ATTEMPTS_MAX:
                    raise
            else:
                return int(number)
        raise AssertionError

    async def system_keys(self, epoch: int) -> list[WrappedSystemKey]:
        """The system's own keys that are wrapped under the epoch."""
        rows = await _rows(self.reading, "SELECT * FROM keys.system_wrapped_under(%b)", Int4(epoch))
        return [WrappedSystemKey(*row) for row in rows]

    async def rewrap_system(self, old: int, new: int, key: WrappedSystemKey, box: bytes) -> None:
        """Put a key of the system's own under another epoch."""
        query = "SELECT keys.rewrap_system(%b, %b, %b, %b)"
        await _rows(self.writing, query, Int4(old), Int4(new), key.name, box)

    async def empty(self, number: int) -> int:
        """How many keys are left under the epoch; where it is none, that is noted."""
        [(left,)] = await _rows(self.writing, "SELECT keys.empty_epoch(%b)", Int4(number))
        return int(left)

    async def end(self, number: int) -> None:
        """Note that the epoch's KEK is destroyed."""
        await _rows(self.writing, "SELECT keys.end_epoch(%b)", Int4(number))

    async def sealed(self, number: int) -> None:
        """Note that the log says of all erasures that this epoch's end seals."""
        await _rows(self.writing, "SELECT keys.seal_epoch(%b)", Int4(number))

    async def counts(self) -> Mapping[int, Mapping[str, int]]:
        """How many keys each epoch has: active, erased, system."""
        return await counts_by_epoch(self.reading)

    async def vacuum(self) -> None:
        """Give the room of the rows that were replaced back to the table."""
        await self.writing.execute("VACUUM keys.data_keys", prepare=False)


@asynccontextmanager
async def rotating(url: str) -> AsyncIterator[EpochStore]:
    """Nobody else rotates meanwhile. Raises `RotationRunning` or `Unavailable`."""
    with unavailable_on_outage():
        async with AsyncExitStack() as stack:
            reading, writing = [
                await stack.enter_async_context(
                    await AsyncConnection.connect(
                        url, autocommit=True, prepare_threshold=0, application_name="lethe rotation"
                    )
                )
                for _ in range(2)
            ]
            [(mine,)] = await _rows(reading, "SELECT pg_try_advisory_lock(%b)", LOCK)
            if not mine:
                raise RotationRunning("another process rotates the key-encryption key just now")
            yield EpochStore(reading, writing)


async def counts_by_epoch(connection: AsyncConnection[Any]) -> Mapping[int, Mapping[str, int]]:
    """How many keys each epoch has: active, erased, and the system's own."""
    found: dict[int, dict[str, int]] = {}
    for epoch, state, number in await _rows(connection, "SELECT * FROM keys.by_epoch()"):
        found.setdefault(epoch, {})[state] = number
    return found


async def _rows(connection: AsyncConnection[Any], query: str, *values: Any) -> list[tuple[Any, ...]]:
    async with connection.cursor(binary=True, row_factory=tuple_row) as cursor:
        await cursor.execute(query.encode(), values)
        return await cursor.fetchall()
