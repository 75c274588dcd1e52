"""The growing end of a tree in PostgreSQL: leaves, tiles and state move together, a batch a transaction."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, AsyncCursor
from psycopg.pq.abc import PGresult

from infra.audit.leaves import Source
from infra.audit.merkle import HASH_BYTES
from infra.audit.tiles import POSITION_BYTES, TILE_HASHES, Edge, TileId, edge_of, unpacked
from services.ports import Unavailable

BATCH_LEAVES: Final = 16_000

STATE: LiteralString = "SELECT size, position, root FROM audit.trees WHERE log = %s"
TILES: LiteralString = (
    "SELECT level, number, hashes FROM audit.tiles JOIN unnest(%s::smallint[], %s::bigint[])"
    " AS wanted (level, number) USING (level, number) WHERE log = %s"
)
LAST_TILE: LiteralString = (
    "SELECT positions, hashes FROM audit.tiles WHERE log = %s AND level = 0 ORDER BY number DESC LIMIT 1"
)
PUT_TILES: LiteralString = """
INSERT INTO audit.tiles AS it (log, level, number, last_position, positions, hashes)
SELECT %s, * FROM unnest(%s::smallint[], %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[])
ON CONFLICT (log, level, number) DO UPDATE
SET last_position = excluded.last_position, positions = excluded.positions, hashes = excluded.hashes
"""
PUT_STATE: LiteralString = """
INSERT INTO audit.trees AS it (log, size, position, root) VALUES (%(log)s, %(size)s, %(position)s, %(root)s)
ON CONFLICT (log) DO UPDATE SET size = excluded.size, position = excluded.position, root = excluded.root
WHERE it.size = %(before)s
RETURNING size
"""


class TreeUnfit(Exception):
    """The log, its tree and its checkpoints do not fit together. One line that says what does not."""


class Growth:
    """A tree that is being added to, by one process at a time. Made anew after every failure."""

    def __init__(self, source: Source, *, batch_leaves: int = BATCH_LEAVES) -> None:
        self._source = source
        self._batch_leaves = batch_leaves
        self._edge = Edge()
        self._positions = b""
        """Of the leaves in the last tile, unless it is full."""
        self.position = 0

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._edge.size

    def root(self) -> bytes:
        """The tree's root."""
        return self._edge.root()

    async def load(self, connection: AsyncConnection[Any]) -> None:
        """Go on from what is stored. Raises `TreeUnfit` where the tree or the end of its log is not whole."""
        row = await (await connection.execute(STATE, [self._source.log])).fetchone()
        size, self.position, root = row or (0, 0, Edge().root())
        try:
            self._edge = Edge(size, await tiles_at(connection, self._source.log, edge_of(size)))
        except ValueError:
            raise TreeUnfit("tiles of the tree are missing or damaged") from None
        if self._edge.root() != root:
            raise TreeUnfit("the tree's tiles do not lead to its root")
        if size:
            packed = await self._check_last_leaves(connection)
            self._positions = packed if size % TILE_HASHES else b""

    async def _check_last_leaves(self, connection: AsyncConnection[Any]) -> bytes:
        """The positions of the last tile's leaves, which must still be what the tree was made of."""
        cursor = await connection.execute(LAST_TILE, [self._source.log], binary=True)
        packed, hashes = await cursor.fetchone() or (b"", b"")
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(self._source.rows, [unpacked(packed)])
            hashed, positions = self._hashed(_result(cursor))
        if b"".join(positions) != packed:
            raise TreeUnfit("the log lacks events that the tree was made of")
        if b"".join(hashed) != hashes:
            raise TreeUnfit("the log's last events are not those that the tree was made of")
        return bytes(packed)

    async def take(self, connection: AsyncConnection[Any], horizon: int) -> bool:
        """Add a batch of leaves; whether that was all up to the horizon."""
        hashes: list[bytes] = []
        positions: list[bytes] = []
        whole = False
        while not whole and len(hashes) < self._batch_leaves:
            after = int.from_bytes(positions[-1]) if positions else self.position
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(self._source.page, [after, horizon, self._source.page_rows])
                hashed, at = await asyncio.to_thread(self._hashed, _result(cursor))
            hashes += hashed
            positions += at
            whole = len(hashed) < self._source.page_rows
        if hashes:
            await self._put(connection, hashes, b"".join(positions))
        return whole

    def _hashed(self, result: PGresult) -> tuple[list[bytes], list[bytes]]:
        positions = [result.get_value(row, 0) or b"" for row in range(result.ntuples)]
        return self._source.hashed(result), positions

    async def _put(self, connection: AsyncConnection[Any], hashes: list[bytes], positions: bytes) -> None:
        before, log = self._edge.size, self._source.log
        changed, root = await asyncio.to_thread(self._extended, hashes)
        held = self._positions + positions
        rows = [_row(*it, held, before // TILE_HASHES) for it in changed.items()]
        last = int.from_bytes(held[-POSITION_BYTES:])
        state = {"log": log, "size": self.size, "position": last, "root": root, "before": before}
        async with connection.transaction():
            await connection.execute(PUT_TILES, [log, *(list(it) for it in zip(*rows, strict=True))])
            moved = await connection.execute(PUT_STATE, state)
            if await moved.fetchone() is None:
                raise Unavailable("the tree was moved by another process")
        self.position = last
        self._positions = held[len(held) - self.size % TILE_HASHES * POSITION_BYTES :]

    def _extended(self, hashes: list[bytes]) -> tuple[dict[TileId, bytes], bytes]:
        return self._edge.extend(hashes), self._edge.root()


async def tiles_at(
    connection: AsyncConnection[Any], log: str, wanted: Iterable[TileId]
) -> dict[TileId, bytes]:
    """These tiles, as far as they are stored."""
    ids = list(wanted)
    levels, numbers = [it.level for it in ids], [it.number for it in ids]
    cursor = await connection.execute(TILES, [levels, numbers, log], binary=True)
    return {TileId(level, number): hashes async for level, number, hashes in cursor}


def _row(tile: TileId, hashes: bytes, positions: bytes, first_tile: int) -> tuple[Any, ...]:
    """A row of `audit.tiles`; `positions` are those of the leaves from tile `first_tile` on."""
    if tile.level:
        return (tile.level, tile.number, None, None, hashes)
    start = (tile.number - first_tile) * TILE_HASHES * POSITION_BYTES
    own = positions[start : start + len(hashes) // HASH_BYTES * POSITION_BYTES]
    return (0, tile.number, int.from_bytes(own[-POSITION_BYTES:]), own, hashes)


def _result(cursor: AsyncCursor[Any]) -> PGresult:
    assert cursor.pgresult is not None  # noqa: S101 - it has just been executed
    return cursor.pgresult
