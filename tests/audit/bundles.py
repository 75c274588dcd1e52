"""Bundles of a log in memory, made without a database."""

import json
import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from infra.audit.bundle import BundleWriter
from infra.audit.merkle import consistency_proof, inclusion_proof, leaf_hash, root
from infra.audit.note import Checkpoint, Signer
from infra.audit.tiles import Edge, TileId, Tiles
from infra.audit.verifier import levels_of, tiles_needed

ORIGIN = "lethe/main/log"
SIGNER = Signer(ORIGIN, b"\x07" * 32)


def uuid(dice: Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)


def event(
    dice: Random,
    position: int,
    record: UUID,
    version: int,
    topic: str = "customer.renamed",
    data: Mapping[str, Any] | None = None,
) -> bytes:
    """The leaf data of an event."""
    box = {
        "subject": str(record),
        "category": "identity",
        "key": dice.randbytes(32).hex(),
        "fields": ["name"],
        "box": b64encode(dice.randbytes(60)).decode(),
    }
    state = json.dumps(
        {
            "id": str(uuid(dice)),
            "recorded_at": "2026-03-01T10:00:00Z",
            "actor": str(uuid(dice)),
            "version": 1,
            "data": data or {"source": "web"},
            "sealed": [box],
        }
    ).encode()
    head = struct.pack(">Q16sQH", position, record.bytes, version, len(topic))
    return b"lethe/leaf/1\0" + head + topic.encode() + state


@dataclass
class Log:
    """Leaves in order, and all that a bundle may tell of them."""

    leaves: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, size: int, *, seed: int = 1, records: int = 7) -> "Log":
        """A log in which a few records take turns; positions have gaps."""
        dice = Random(seed)
        ids = [uuid(dice) for _ in range(records)]
        return cls([event(dice, 3 * it + 1, ids[it % records], it // records + 1) for it in range(size)])

    @property
    def size(self) -> int:
        return len(self.leaves)

    def tiles(self, size: int | None = None) -> dict[TileId, bytes]:
        """The tree's tiles when it had so many leaves."""
        return Edge().extend([leaf_hash(it) for it in self.leaves[:size]])

    def checkpoint(self, size: int | None = None, signer: Signer = SIGNER) -> str:
        size = self.size if size is None else size
        return signer.sign(Checkpoint(signer.name, size, root(size, Tiles(self.tiles(size)))).text)


def framed(leaves: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(it)) + it for it in leaves)


def manifest(log: Log, first: int, last: int, record: UUID | None = None) -> bytes:
    return json.dumps(
        {
            "format": "lethe/bundle/1",
            "namespace": "main",
            "origin": ORIGIN,
            "vkey": SIGNER.vkey,
            "size": log.size,
            "from_index": first,
            "to_index": last,
            "record": record and str(record),
            "made_at": "2026-03-02T00:00:00Z",
        }
    ).encode()


def members(
    log: Log, *, first: int = 0, last: int | None = None, earlier: Sequence[int] = ()
) -> dict[str, bytes]:
    """What a bundle of the whole log, or of a range, is made of, by name."""
    last = log.size if last is None else last
    tiles = log.tiles()
    made = {"manifest.json": manifest(log, first, last), "checkpoint": log.checkpoint().encode()}
    for size in earlier:
        proof = consistency_proof(size, log.size, Tiles(tiles))
        made[f"earlier/{size}.note"] = log.checkpoint(size).encode()
        made[f"earlier/{size}.proof"] = b"".join(b64encode(it) + b"\n" for it in proof)
    made["leaves.bin"] = framed(log.leaves[first:last])
    for level in range(levels_of(log.size)):
        numbers = tiles_needed(level, first, last, log.size)
        made[f"tiles/{level}"] = b"".join(tiles[TileId(level, it)] for it in numbers)
    return made


def members_of_record(log: Log, record: UUID) -> dict[str, bytes]:
    """What a bundle of one record's events is made of."""
    at = [it for it, leaf in enumerate(log.leaves) if leaf[21:37] == record.bytes]
    lookup = Tiles(log.tiles())
    proofs = [
        {"index": it, "proof": [b64encode(step).decode() for step in inclusion_proof(it, log.size, lookup)]}
        for it in at
    ]
    return {
        "manifest.json": manifest(log, 0, log.size, record),
        "checkpoint": log.checkpoint().encode(),
        "leaves.bin": framed([log.leaves[it] for it in at]),
        "proofs.jsonl": "".join(f"{json.dumps(it)}\n" for it in proofs).encode(),
    }


def write(path: Path, made: Mapping[str, bytes]) -> Path:
    writer = BundleWriter()
    pieces = [writer.add(name, data) for name, data in made.items()]
    path.write_bytes(b"".join([*pieces, writer.finish()]))
    return path
