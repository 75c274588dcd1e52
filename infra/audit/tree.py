"""Proofs out of a stored tree: where an event is in it, and that it only grew."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.audit.checkpoints import PostgresCheckpoints, StoredCheckpoint
from infra.audit.growing import tiles_at
from infra.audit.merkle import Span, consistency_spans, inclusion_spans
from infra.audit.note import Signer
from infra.audit.tiles import TILE_HASHES, TileId, hashes_of, tiles_of, unpacked
from infra.outage import unavailable_on_outage

Pool = AsyncConnectionPool[AsyncConnection[Any]]

LOOK_SECONDS: Final = 0.05
STATE: LiteralString = "SELECT size, position, fault FROM audit.trees WHERE log = %s"
TILE_OF_POSITION: LiteralString = (
    "SELECT number, positions FROM audit.tiles WHERE log = %s AND level = 0 AND last_position >= %s"
    " ORDER BY last_position LIMIT 1"
)
POSITIONS: LiteralString = "SELECT positions FROM audit.tiles WHERE log = %s AND level = 0 AND number = %s"
STORED: Final[Mapping[str, LiteralString]] = {
    "log": "SELECT FROM log.events WHERE position = %s",
    "access": "SELECT FROM access.batches WHERE number = %s",
}


class NotInTree(Exception):
    """The tree has no such leaf, or was never of this size."""


class NotInTreeYet(Exception):
    """The tree will have this leaf in a moment. Try again soon."""


class TreeDamaged(Exception):
    """Hashes of the tree are missing: `lethe verify` says where."""


@dataclass(frozen=True, slots=True)
class TreeState:
    """How far a tree is. While `fault` says what is wrong, it does not grow and nothing is signed."""

    size: int
    position: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That the leaf with this hash is at this index of the tree with this size and root."""

    index: int
    leaf: bytes
    size: int
    root: bytes
    hashes: list[bytes]


@dataclass(frozen=True, slots=True)
class Consistency:
    """That the tree with the first root is the start of the tree with the second."""

    old_size: int
    old_root: bytes
    new_size: int
    new_root: bytes
    hashes: list[bytes]


class AuditTree:
    """One log's tree, to be read by any process. All of it raises `Unavailable`."""

    def __init__(self, pool: Pool, log: str, signer: Signer, checkpoints: PostgresCheckpoints) -> None:
        """`log` is the tree's name: `log` or `access`. The signer's name is the log's origin."""
        self._pool = pool
        self.log = log
        self.signer = signer
        self.checkpoints = checkpoints

    async def state(self) -> TreeState:
        """How far it is."""
        [row] = await self._rows(STATE, self.log) or [(0, 0, None)]
        return TreeState(*row)

    async def size(self) -> int:
        """How many leaves it has."""
        return (await self.state()).size

    async def root(self, size: int | None = None) -> bytes:
        """Its root, now or when it had this many leaves. Raises `NotInTree`."""
        size = await self._known(size)
        return (await self._hashes([Span(0, size)]))[0]

    async def inclusion(self, position: int, size: int | None = None) -> Inclusion:
        """The proof of what is at this position of the log, in the tree of now or of this size.

        Raises `NotInTree`, also for what a tree of this size did not reach; `NotInTreeYet`.
        """
        size = await self._known(size)
        index = await self.index_of(position)
        if index >= size:
            raise NotInTree
        leaf, root, *hashes = await self._hashes(
            [Span(index, index + 1), Span(0, size), *inclusion_spans(index, size)]
        )
        return Inclusion(index, leaf, size, root, hashes)

    async def consistency(self, old: int, new: int | None = None) -> Consistency:
        """The proof that the tree of `old` leaves is the start of that of `new` ones. Raises `NotInTree`."""
        new = await self._known(new)
        if not 0 < old <= new:
            raise NotInTree
        before, after, *hashes = await self._hashes(
            [Span(0, old), Span(0, new), *consistency_spans(old, new)]
        )
        return Consistency(old, before, new, after, hashes)

    async def index_of(self, position: int) -> int:
        """The leaf that was made of this position. Raises `NotInTree` or `NotInTreeYet`."""
        for number, packed in await self._rows(TILE_OF_POSITION, self.log, position):
            positions = unpacked(packed)
            at = bisect_left(positions, position)
            if positions[at] == position:
                return int(number) * TILE_HASHES + at
            raise NotInTree
        if await self._rows(STORED[self.log], position):
            raise NotInTreeYet
        raise NotInTree

    async def position_of(self, index: int) -> int:
        """What position the leaf was made of. Raises `NotInTree`."""
        for (packed,) in await self._rows(POSITIONS, self.log, index // TILE_HASHES):
            positions = unpacked(packed)
            if index % TILE_HASHES < len(positions):
                return positions[index % TILE_HASHES]
        raise NotInTree

    async def covered(self, position: int, timeout: float) -> StoredCheckpoint | None:
        """The first signed checkpoint that has this position under it; None where there is none in time."""
        until = time.monotonic() + timeout
        while True:
            if (await self.state()).position >= position:
                found = await self.checkpoints.covering(await self.index_of(position))
                if found is not None:
                    return found
            if time.monotonic() >= until:
                return None
            await asyncio.sleep(LOOK_SECONDS)

    async def tile(self, level: int, number: int) -> bytes:
        """A tile's hashes, side by side, as many as there are. Raises `NotInTree`."""
        wanted = TileId(level, number)
        found = await self._tiles({wanted})
        if wanted not in found:
            raise NotInTree
        return found[wanted]

    async def _known(self, size: int | None) -> int:
        now = await self.size()
        if size is not None and not 0 <= size <= now:
            raise NotInTree
        return now if size is None else size

    async def _hashes(self, spans: list[Span]) -> list[bytes]:
        tiles = await self._tiles(tiles_of(spans))
        try:
            return hashes_of(spans, tiles)
        except KeyError as error:
            raise TreeDamaged(f"tile {error} of the tree {self.log!r}") from None

    async def _tiles(self, wanted: set[TileId]) -> dict[TileId, bytes]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await tiles_at(connection, self.log, wanted)

    async def _rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, values, binary=True)).fetchall()
