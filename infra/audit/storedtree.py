"""What a database holds of a log and its tree, held against one another, byte for byte.

Reads in one snapshot, page by page; blocks, so call it from a thread.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple

import psycopg

from infra.accesslog import leaf_hash as access_hash
from infra.audit import verifier
from infra.audit.verifier import (
    HASH,
    HEAD,
    WIDTH,
    Alignment,
    Examined,
    Fact,
    Findings,
    Leaves,
    Order,
    Queue,
    Tree,
    levels_of,
    tile_width,
)

PAGE_LEAVES = 4_000
PAGE_BATCHES = 500
TILES_AT_ONCE = 200
POSITION = 8
FIRST = -(2**63)

# Leaves as `verifier.examine` takes them: one value a page is far cheaper to fetch than five a row.
EVENTS: LiteralString = """
SELECT string_agg(
    int4send(47 + octet_length(topic) + octet_length(state)) || '\\x6c657468652f6c6561662f3100'::bytea
    || int8send(position) || uuid_send(originator_id) || int8send(originator_version)
    || int2send(octet_length(topic)::int2) || topic || state, ''::bytea), max(position)
FROM (
    SELECT position, originator_id, originator_version, convert_to(topic, 'UTF8') AS topic, state
    FROM log.events WHERE position > %s AND position <= %s ORDER BY position LIMIT %s
) AS page
"""
BATCHES: LiteralString = """
SELECT number, leaf_hash, body, entries FROM access.batches
WHERE number > %s AND number <= %s ORDER BY number LIMIT %s
"""
STATE: LiteralString = "SELECT size, position, root, fault FROM audit.trees WHERE log = %s"
LAST_TILE: LiteralString = """
SELECT octet_length(hashes) / 32, last_position, (
    SELECT count(*) FROM audit.tiles WHERE log = it.log AND level = 0
) FROM audit.tiles AS it WHERE log = %s AND level = 0 ORDER BY number DESC LIMIT 1
"""
UPPER_TILES: LiteralString = """
SELECT level, number, hashes FROM audit.tiles WHERE log = %s AND level <> 0 ORDER BY level, number
"""
LEAF_TILES: LiteralString = """
SELECT number, hashes, positions, last_position FROM audit.tiles WHERE log = %s AND level = 0 ORDER BY number
"""
COUNT: LiteralString = "SELECT count(*) FROM log.events WHERE position <= %s"
COUNT_BATCHES: LiteralString = "SELECT count(*) FROM access.batches WHERE number <= %s"
AFTER: LiteralString = "SELECT count(*) FROM log.events WHERE position > %s"
BATCHES_AFTER: LiteralString = "SELECT count(*) FROM access.batches WHERE number > %s"

Connection = psycopg.Connection[Any]


class Names(NamedTuple):
    """What findings call the parts of a log."""

    leaf: str
    tile: str
    checkpoint: str
    tree: str


NAMES = {
    "log": Names(verifier.LEAF, verifier.TILE, verifier.CHECKPOINT, "tree"),
    "access": Names("access batch", "access tile", "access checkpoint", "access tree"),
}


class TreeState(NamedTuple):
    """What the tree says of itself."""

    size: int
    position: int
    root: bytes


class StoredTree:
    """One log's leaves, tiles and state."""

    def __init__(
        self, connection: Connection, log: str, findings: Findings, say: Callable[[int], None]
    ) -> None:
        self.log, self.names = log, NAMES[log]
        self.leaves = Leaves(self._runs(), Order(from_the_start=True) if log == "log" else None, say)
        self.unsequenced = 0
        self.facts: list[Fact] = []
        """What the leaves tell that are those that the tree was made of."""
        self.state = TreeState(0, 0, verifier.EMPTY_ROOT)
        self._connection, self._findings = connection, findings
        self._positions = b""
        """Of the leaves that were read and not compared yet."""
        self._last = 0

    def verify(self, earlier: list[int]) -> Tree:
        """Compare all of it. The tree it answers knows the roots at the `earlier` sizes."""
        self.state = state = self._read_state()
        self._last = state.position
        tree = ComparedTree(state.size, earlier, self)
        self._load_upper(tree)
        tree.alignment = Alignment(Queue(tree.level_0()), self.leaves, 0, state.size)
        tree.compare(tree.alignment.stored, tree.alignment)
        tree.end()
        places = (self.names.leaf, self.names.tile, self.names.tree)
        verifier.prove(tree, tree.alignment, state.root, self._findings, places)
        alignment = tree.alignment
        self.facts = [
            it for it in self.leaves.facts if alignment.index_of(it.ordinal) not in alignment.changed
        ]
        query = AFTER if self.log == "log" else BATCHES_AFTER
        self.unsequenced = int(self._value(query, self._last))
        return tree

    def _read_state(self) -> TreeState:
        """What the tree says of itself; where its tiles say otherwise, what the log bears out."""
        row = self._connection.execute(STATE, [self.log], binary=True).fetchone()
        last = self._connection.execute(LAST_TILE, [self.log], binary=True).fetchone()
        size, position, root, fault = row or (0, 0, verifier.EMPTY_ROOT, None)
        width, tiled_to, tiles = last or (WIDTH, 0, 0)
        if fault is not None:
            self.find(self.names.tree, f"its sequencer stopped: {fault}")
        tiled = (tiles - 1) * WIDTH + width
        if (size, position) != (tiled, tiled_to):
            words = f"it is said to have {size} leaves up to position {position}; its tiles have {tiled}"
            self.find(self.names.tree, f"{words} up to position {tiled_to}")
        count = COUNT if self.log == "log" else COUNT_BATCHES
        for up_to in dict.fromkeys([position, tiled_to]):
            for leaves in dict.fromkeys([size, tiled]):
                if (size, position) != (tiled, tiled_to) and self._value(count, up_to) == leaves:
                    return TreeState(leaves, up_to, root)
        return TreeState(max(0, min(size, tiled)), position, root)

    def _load_upper(self, tree: "ComparedTree") -> None:
        wanted = {(level, it) for level in range(1, levels_of(tree.size)) for it in tree.numbers(level)}
        for level, number, hashes in self._connection.execute(UPPER_TILES, [self.log], binary=True):
            if (level, number) not in wanted:
                self.find(
                    self.names.tile, f"level {level}, tile {number} is of no tree of {tree.size} leaves"
                )
                continue
            wanted.remove((level, number))
            tree.stored[level, number] = self.fitted(level, number, hashes, tree.size)
        for level, number in sorted(wanted):
            self.find(self.names.tile, f"level {level}, tile {number} is missing")

    def fitted(self, level: int, number: int, hashes: bytes, size: int) -> bytes:
        """The tile, as long as it is to be."""
        expected = tile_width(level, number, size) * HASH
        if len(hashes) != expected:
            words = f"level {level}, tile {number} has {len(hashes)} bytes, not {expected}"
            self.find(self.names.tile, words)
        return hashes[:expected].ljust(expected, b"\0")

    def find(self, place: str, words: str, first: int | None = None, position: int | None = None) -> None:
        """Something is wrong."""
        self._findings.add(place, words, first, None, position)

    def take_positions(self, count: int) -> bytes:
        """The positions of the next leaves, as a tile keeps them."""
        taken, self._positions = self._positions[: count * POSITION], self._positions[count * POSITION :]
        return taken

    def tiles(self) -> Iterator[tuple[int, bytes, bytes, int]]:
        """The stored tiles of level 0, in order."""
        with self._connection.cursor(f"tiles of {self.log}", binary=True) as cursor:
            cursor.itersize = TILES_AT_ONCE
            yield from cursor.execute(LEAF_TILES, [self.log])

    def _runs(self) -> Iterator[Examined]:
        after = FIRST
        while True:
            found, after = self._events(after) if self.log == "log" else self._batches(after)
            if not found.hashes:
                return
            packed = bytearray(len(found.hashes) // HASH * POSITION)
            for byte in range(POSITION):
                packed[byte::POSITION] = found.heads[byte :: HEAD.size]
            self._positions += packed
            yield found

    def _events(self, after: int) -> tuple[Examined, int]:
        values = [after, self._last, PAGE_LEAVES]
        page, last = self._connection.execute(EVENTS, values, binary=True).fetchone() or (None, None)
        return verifier.examine(
            page or b"", verifier.EVENT, look_inside=False
        ), after if last is None else last

    def _batches(self, after: int) -> tuple[Examined, int]:
        """A batch that was pruned is the hash that stays of it."""
        hashes: list[bytes] = []
        heads: list[bytes] = []
        faults: list[tuple[int, str]] = []
        values = [after, self._last, PAGE_BATCHES]
        for number, kept, body, entries in self._connection.execute(BATCHES, values, binary=True):
            hashed = kept if body is None else access_hash(body)
            if hashed != kept:
                faults.append((len(hashes), "its own hash is not that of its body"))
            if body is not None and entries != body.count(b"\n"):
                faults.append((len(hashes), f"it has {body.count(bytes([10]))} entries, not {entries}"))
            hashes.append(hashed)
            heads.append(HEAD.pack(number % 2**64, bytes(16), 0))
            after = number
        return Examined(b"".join(hashes), b"".join(heads), faults, []), after

    def _value(self, query: LiteralString, *values: Any) -> Any:
        [value] = self._connection.execute(query, values).fetchone() or (None,)
        return value


class ComparedTree(Tree):
    """A tree whose tiles come from the database: those of level 0 tell the leaves' positions too."""

    alignment: Alignment

    def __init__(self, size: int, earlier: list[int], source: StoredTree) -> None:
        super().__init__(size, 0, size, earlier)
        self._source = source
        self._rows = source.tiles()
        self._positions: deque[tuple[int, bytes, int]] = deque()

    def level_0(self) -> Iterator[bytes]:
        """The hashes of level 0; zeros where a tile is missing."""
        row = next(self._rows, None)
        for number in self.numbers(0):
            while row is not None and row[0] < number:
                row = self._unexpected(row)
            if row is None or row[0] != number:
                self._source.find(
                    self._source.names.tile, f"level 0, tile {number} is missing", number * WIDTH
                )
                self._positions.append((number, b"", 0))
                yield bytes(tile_width(0, number, self.size) * HASH)
                continue
            self._positions.append((number, row[2], row[3]))
            yield self._source.fitted(0, number, row[1], self.size)
            row = next(self._rows, None)
        while row is not None:
            row = self._unexpected(row)

    def _unexpected(self, row: tuple[int, bytes, bytes, int]) -> tuple[int, bytes, bytes, int] | None:
        words = f"level 0, tile {row[0]} is of no tree of {self.size} leaves"
        self._source.find(self._source.names.tile, words)
        return next(self._rows, None)

    def put(self, number: int, stored: bytes, seen: bytes) -> None:
        """Positions are compared where the hashes agree and nothing is missing or doubled before."""
        super().put(number, stored, seen)
        _, positions, last = self._positions.popleft()
        leaves = self._source.take_positions(len(seen) // HASH)
        if seen != stored or self.alignment.shifted or not positions:
            return
        if positions != leaves:
            place = next(
                (it for it in range(len(leaves)) if positions[it : it + 1] != leaves[it : it + 1]), 0
            )
            index = number * WIDTH + place // POSITION
            words = f"level 0, tile {number} has another position for its leaf"
            self._source.find(self._source.names.tile, words, index)
        if leaves and last != int.from_bytes(leaves[-POSITION:]):
            self._source.find(self._source.names.tile, f"level 0, tile {number} ends with another position")

    def end(self) -> None:
        """Read the tiles to their end: there may be more than the tree needs."""
        for _ in iter(lambda: self.alignment.stored.take(WIDTH), b""):
            pass
