"""A tree's hashes in tiles of 256, as C2SP's tlog-tiles lays them out: where a hash is, how they grow."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from infra.audit.merkle import HASH_BYTES, Node, Span, hash_of, node_hash, nodes_of, root

TILE_HASHES = 256
TILE_LEVELS = 8  # of the tree, to one of tiles
POSITION_BYTES = 8


class TileId(NamedTuple):
    """Level 0 has leaf hashes; each level above has the roots of the full tiles below."""

    level: int
    number: int


class Tiles:
    """Some tiles of a tree, that hashes can be asked of."""

    def __init__(self, tiles: Mapping[TileId, bytes]) -> None:
        self._tiles = tiles

    def __call__(self, node: Node) -> bytes:
        """The hash of a complete subtree. Raises `KeyError` where its tile is not here, or not so full."""
        tile, first, count = _place(node)
        hashes = self._tiles[tile][first * HASH_BYTES : (first + count) * HASH_BYTES]
        if len(hashes) != count * HASH_BYTES:
            raise KeyError(tile)
        return _folded(hashes)


class Edge:
    """The right edge of a tree: its last tile of each level, as far as they are filled, to go on from."""

    def __init__(self, size: int = 0, tiles: Mapping[TileId, bytes] | None = None) -> None:
        """`tiles` are those of `edge_of(size)`. Raises `ValueError` where they are not of this size."""
        self.size = size
        self._tiles = dict(tiles or {})
        widths = {it: len(hashes) for it, hashes in self._tiles.items()}
        if widths != {tile: width * HASH_BYTES for tile, width in edge_of(size).items()}:
            raise ValueError("these tiles are not the right edge of a tree of this size")

    def extend(self, hashes: Sequence[bytes]) -> dict[TileId, bytes]:
        """Add leaves, by their hashes. Answers the tiles that changed, whole."""
        changed: dict[TileId, bytes] = {}
        level, below, added = 0, self.size, hashes
        self.size += len(hashes)
        while added:
            tile = TileId(level, below // TILE_HASHES)
            held = self._tiles.pop(tile, b"") + b"".join(added)
            above: list[bytes] = []
            for start in range(0, len(held), TILE_HASHES * HASH_BYTES):
                content = held[start : start + TILE_HASHES * HASH_BYTES]
                changed[tile] = content
                if len(content) == TILE_HASHES * HASH_BYTES:
                    above.append(_folded(content))
                else:
                    self._tiles[tile] = content
                tile = TileId(level, tile.number + 1)
            level, below, added = level + 1, below // TILE_HASHES, above
        return changed

    def root(self) -> bytes:
        """The tree's root."""
        return root(self.size, Tiles(self._tiles))


def edge_of(size: int) -> dict[TileId, int]:
    """The tiles that are not full in a tree of this size, and how many hashes each has."""
    edge: dict[TileId, int] = {}
    level = 0
    while size:
        if size % TILE_HASHES:
            edge[TileId(level, size // TILE_HASHES)] = size % TILE_HASHES
        level, size = level + 1, size // TILE_HASHES
    return edge


def tiles_of(spans: Iterable[Span]) -> set[TileId]:
    """The tiles that the hashes of these subtrees are in."""
    return {_place(node)[0] for span in spans for node in nodes_of(span)}


def hashes_of(spans: Iterable[Span], tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """The hashes of these subtrees, out of their tiles. Raises `KeyError` where a tile lacks some."""
    lookup = Tiles(tiles)
    return [hash_of(span, lookup) for span in spans]


def packed(positions: Iterable[int]) -> bytes:
    """Positions as a tile keeps them."""
    return b"".join(it.to_bytes(POSITION_BYTES) for it in positions)


def unpacked(positions: bytes) -> list[int]:
    """Packed positions."""
    return [
        int.from_bytes(positions[at : at + POSITION_BYTES]) for at in range(0, len(positions), POSITION_BYTES)
    ]


def _place(node: Node) -> tuple[TileId, int, int]:
    """The tile that has the hashes below a node, the first of them there, and their number."""
    level, height = divmod(node.level, TILE_LEVELS)
    first = node.number << height
    return TileId(level, first // TILE_HASHES), first % TILE_HASHES, 1 << height


def _folded(hashes: bytes) -> bytes:
    """The root over a power of two of hashes, side by side."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]
