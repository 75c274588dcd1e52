"""Makes bundles out of a running system: of the whole log, of a range of it, or of one record's events.

Everything is read page by page and handed on as it is read, so that a bundle of any size takes little memory.
Nothing is opened: events leave as they are stored, what is sealed sealed.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra import json
from infra.audit.bundle import BundleWriter
from infra.audit.checkpoints import StoredCheckpoint
from infra.audit.growing import tiles_at
from infra.audit.leaves import event_leaf
from infra.audit.merkle import HASH_BYTES, consistency_spans, inclusion_spans
from infra.audit.storedtree import EVENTS, PAGE_LEAVES
from infra.audit.tiles import TILE_HASHES, TileId, hashes_of, tiles_of, unpacked
from infra.audit.tree import AuditTree, NotInTree, NotInTreeYet
from infra.audit.verifier import BUNDLE_FORM, LENGTH, levels_of, tile_width, tiles_needed
from infra.history.manifests import Manifests
from infra.outage import unavailable_on_outage
from services.ports import Clock

Pool = AsyncConnectionPool[AsyncConnection[Any]]

EARLIER_MAX: Final = 50
CHECKPOINTS_LOOKED_AT: Final = 1_000
TILES_AT_ONCE: Final = 128
EVENTS_AT_ONCE: Final = 200

OF_RECORD: LiteralString = """
SELECT position, originator_version, topic, state FROM log.events
WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s
"""
TILES_OF_POSITIONS: LiteralString = """
SELECT wanted, tile.number, tile.positions FROM unnest(%s::bigint[]) AS wanted, LATERAL (
    SELECT number, positions FROM audit.tiles
    WHERE log = %s AND level = 0 AND last_position >= wanted ORDER BY last_position LIMIT 1
) AS tile ORDER BY wanted
"""

EXPORTS_MADE: LiteralString = """
SELECT originator_id FROM log.events
WHERE topic = 'export.made' AND position BETWEEN %s AND %s ORDER BY position
"""

Notes = Callable[[int, int], AsyncIterator[tuple[str, str]]]
"""Signed notes of what happened from one position to another: each with the name of its file."""


class ExportNotes:
    """The manifests of the exports that were made in a stretch of the log."""

    def __init__(self, pool: Pool, manifests: Manifests) -> None:
        self._pool = pool
        self._manifests = manifests

    async def __call__(self, first: int, last: int) -> AsyncIterator[tuple[str, str]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                rows = await (await connection.execute(EXPORTS_MADE, [first, last])).fetchall()
        for (export_id,) in rows:
            manifest = await self._manifests.manifest(export_id, patience=0)
            if manifest is not None:
                yield f"exports/{export_id}.note", manifest


@dataclass(frozen=True, slots=True)
class Range:
    """Leaves by index, `end` not included; absent: from the first, to the last that is signed."""

    start: int = 0
    end: int | None = None


class Bundling:
    """Makes bundles of the event log."""

    def __init__(
        self, pool: Pool, tree: AuditTree, namespace: str, clock: Clock, notes: Iterable[Notes] = ()
    ) -> None:
        self._pool = pool
        self._tree = tree
        self._namespace = namespace
        self._clock = clock
        self._notes = list(notes)

    async def of_range(self, wanted: Range) -> AsyncIterator[bytes]:
        """A bundle of these leaves. Raises `NotInTree` or `NotInTreeYet` before its first byte."""
        checkpoint = await self._checkpoint()
        end = checkpoint.size if wanted.end is None else wanted.end
        if not 0 <= wanted.start <= end <= checkpoint.size:
            raise NotInTree
        return self._range(checkpoint, wanted.start, end)

    async def of_record(self, record_id: UUID) -> AsyncIterator[bytes]:
        """A bundle of the record's events. Raises `NotInTree` or `NotInTreeYet` likewise."""
        checkpoint = await self._checkpoint()
        async for _ in self._events_of(record_id, checkpoint.size):
            return self._record(checkpoint, record_id)
        raise NotInTree

    async def _checkpoint(self) -> StoredCheckpoint:
        checkpoint = await self._tree.checkpoints.latest()
        if checkpoint is None:
            raise NotInTreeYet
        return checkpoint

    async def _range(self, checkpoint: StoredCheckpoint, start: int, end: int) -> AsyncIterator[bytes]:
        writer, size = BundleWriter(), checkpoint.size
        async for piece in self._begin(writer, checkpoint, start, end, None):
            yield piece
        first = last = 0
        yield writer.begin("leaves.bin")
        if start < end:
            first, last = await self._tree.position_of(start), await self._tree.position_of(end - 1)
            async for page in self._leaves(first, last):
                yield writer.write(page)
        for level in range(levels_of(size)):
            yield writer.begin(f"tiles/{level}")
            async for hashes in self._tiles(level, tiles_needed(level, start, end, size), size):
                yield writer.write(hashes)
        for notes in self._notes:
            async for name, note in notes(first, last):
                yield writer.add(name, note.encode())
        yield writer.finish()

    async def _record(self, checkpoint: StoredCheckpoint, record_id: UUID) -> AsyncIterator[bytes]:
        """The events are read twice: a member is written from its start to its end."""
        writer, size = BundleWriter(), checkpoint.size
        async for piece in self._begin(writer, checkpoint, 0, size, record_id):
            yield piece
        yield writer.begin("leaves.bin")
        async for page in self._events_of(record_id, size):
            yield writer.write(b"".join(LENGTH.pack(len(leaf)) + leaf for _, leaf in page))
        yield writer.begin("proofs.jsonl")
        async for page in self._events_of(record_id, size):
            yield writer.write(await self._proofs([index for index, _ in page], size))
        yield writer.finish()

    async def _begin(
        self, writer: BundleWriter, checkpoint: StoredCheckpoint, start: int, end: int, record_id: UUID | None
    ) -> AsyncIterator[bytes]:
        manifest = {
            "format": BUNDLE_FORM,
            "namespace": self._namespace,
            "origin": self._tree.signer.name,
            "vkey": self._tree.signer.vkey,
            "size": checkpoint.size,
            "from_index": start,
            "to_index": end,
            "record": record_id,
            "made_at": self._clock.now(),
        }
        yield writer.add("manifest.json", json.encode(manifest))
        yield writer.add("checkpoint", checkpoint.note.encode())
        below = await self._tree.checkpoints.below(checkpoint.size, CHECKPOINTS_LOOKED_AT)
        for earlier in thinned(below, EARLIER_MAX):
            spans = consistency_spans(earlier.size, checkpoint.size)
            proof = await self._hashes([spans])
            yield writer.add(f"earlier/{earlier.size}.note", earlier.note.encode())
            yield writer.add(
                f"earlier/{earlier.size}.proof", b"".join(b64encode(it) + b"\n" for it in proof[0])
            )

    async def _leaves(self, first: int, last: int) -> AsyncIterator[bytes]:
        after: int | None = first - 1
        while after is not None:
            [(page, after)] = await self._rows(EVENTS, after, last, PAGE_LEAVES)
            if page is not None:
                yield page

    async def _tiles(self, level: int, numbers: Sequence[int], size: int) -> AsyncIterator[bytes]:
        """As they were when the tree had this size."""
        for at in range(0, len(numbers), TILES_AT_ONCE):
            wanted = [TileId(level, it) for it in numbers[at : at + TILES_AT_ONCE]]
            with unavailable_on_outage():
                async with self._pool.connection() as connection:
                    found = await tiles_at(connection, self._tree.log, wanted)
            yield b"".join(
                found.get(it, b"")[: tile_width(level, it.number, size) * HASH_BYTES] for it in wanted
            )

    async def _events_of(self, record_id: UUID, size: int) -> AsyncIterator[list[tuple[int, bytes]]]:
        """The record's leaves that are in the tree of this size, some at a time, each with its index."""
        version = -1
        while rows := await self._rows(OF_RECORD, record_id, version, EVENTS_AT_ONCE):
            version = rows[-1][1]
            indexes = await self._indexes([position for position, *_ in rows])
            page = [
                (indexes[position], event_leaf(position, record_id, its_version, topic, state))
                for position, its_version, topic, state in rows
                if indexes.get(position, size) < size
            ]
            if page:
                yield page
            if len(page) < len(rows):
                return

    async def _indexes(self, positions: list[int]) -> dict[int, int]:
        """Which leaf was made of each position that the tree has."""
        found: dict[int, int] = {}
        for position, number, packed in await self._rows(TILES_OF_POSITIONS, positions, self._tree.log):
            known = unpacked(packed)
            if position in known:
                found[position] = number * TILE_HASHES + known.index(position)
        return found

    async def _proofs(self, indexes: Sequence[int], size: int) -> bytes:
        paths = await self._hashes([inclusion_spans(it, size) for it in indexes])
        lines = [
            {"index": index, "proof": [b64encode(it).decode() for it in path]}
            for index, path in zip(indexes, paths, strict=True)
        ]
        return b"".join(json.encode(it) + b"\n" for it in lines)

    async def _hashes(self, spans: Sequence[Any]) -> list[list[bytes]]:
        wanted = tiles_of(it for each in spans for it in each)
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                tiles = await tiles_at(connection, self._tree.log, wanted)
        return [hashes_of(each, tiles) for each in spans]

    async def _rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await (await connection.execute(query, values, binary=True)).fetchall()


def thinned(newest_first: Sequence[StoredCheckpoint], most: int) -> list[StoredCheckpoint]:
    """So many of them at most: the newest, and ever fewer of the older ones; in order of size."""
    kept: list[StoredCheckpoint] = []
    step, at = 1.0, 0.0
    while at < len(newest_first) and len(kept) < most:
        kept.append(newest_first[int(at)])
        at += step
        step *= 1.1
    return kept[::-1]
