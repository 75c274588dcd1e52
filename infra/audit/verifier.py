#!/usr/bin/env python3
"""Verifies what Lethe exports for an audit, offline: this one file, Python 3.9 or later, nothing to install.

    python verifier.py BUNDLE.zip [--vkey VKEY] [--earlier CHECKPOINT ...] [--json]
    python verifier.py CERTIFICATE.note --vkey VKEY
    python verifier.py EXPORT --manifest MANIFEST.note --vkey VKEY

It checks that every event in the bundle is, byte for byte, a leaf of the Merkle tree (RFC 6962) whose root
the checkpoint signs (C2SP signed notes, Ed25519); that the tree has only grown since each earlier one; that
nothing is missing, doubled, out of order or malformed; and that certificates of erasure and manifests of
exports are signed and say what the log says. It lists what was erased, and when. Where something is wrong it
names the first bad index, and the place.

What it rests on: VKEY, which you should have from elsewhere than the bundle, and the checkpoints that you
kept yourself, given with --earlier. It needs no key of Lethe's, opens nothing that is sealed, and prints ids,
topics and times only. A whole log takes memory for each record in it (about 150 bytes), not for each event.

Exit codes: 0 all holds, 1 something does not, 2 used wrongly.
"""

from __future__ import annotations

import argparse
import binascii
import bisect
import hashlib
import json
import os
import re
import struct
import sys
import time
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Callable, NamedTuple

# --- What is found --------------------------------------------------------------------------------

FINDINGS_MAX = 1000


class Finding(NamedTuple):
    """One thing that is wrong: where, what, and at which leaf or leaves it is to be looked for."""

    place: str
    words: str
    first: int | None = None
    last: int | None = None
    position: int | None = None

    def __str__(self) -> str:
        where = self.place
        if self.first is not None:
            where += f" {self.first}"
        if self.last not in (None, self.first):
            where += f" to {self.last}"
        if self.position is not None:
            where += f" (position {self.position})"
        return f"{where}: {self.words}"


class Findings:
    """What is wrong, in the order in which it was found; beyond a thousand only counted."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.total = 0

    def add(
        self,
        place: str,
        words: str,
        first: int | None = None,
        last: int | None = None,
        position: int | None = None,
    ) -> None:
        """One more: at the leaf `first`, or from that to `last`, or somewhere without an index."""
        self.total += 1
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(Finding(place, words, first, last, position))

    @property
    def first_bad_index(self) -> int | None:
        """The first leaf that is wrong or missing."""
        return min((it.first for it in self.kept if it.place == LEAF and it.first is not None), default=None)

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The ranges of leaves that the tree has and the data has not, first and last."""
        return [
            (it.first, it.first if it.last is None else it.last)
            for it in self.kept
            if it.words == MISSING and it.first is not None
        ]


class Unusable(ValueError):
    """What was given cannot be used as what it is said to be. One line."""


LEAF = "leaf"
MISSING = "missing"
TILE = "tile"
CHECKPOINT = "checkpoint"

# --- Merkle trees: RFC 6962 and RFC 9162, section 2.1 ---------------------------------------------

HASH = 32
WIDTH = 256
"""How many hashes a tile has. A tile of level k holds the hashes of subtrees over 256**k leaves each."""
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """The root over as many hashes, side by side, as is some power of two."""
    sha256 = hashlib.sha256
    while len(hashes) > HASH:
        hashes = b"".join([sha256(b"\1" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 64)])
    return hashes


def peaks(hashes: bytes) -> list[bytes]:
    """The roots of the complete subtrees, the largest first, that these hashes fall into."""
    found, at, count = [], 0, len(hashes) // HASH
    for bit in range(count.bit_length() - 1, -1, -1):
        if count >> bit & 1:
            found.append(fold(hashes[at : at + (HASH << bit)]))
            at += HASH << bit
    return found


def join(subtrees: Sequence[bytes]) -> bytes:
    """The root over complete subtrees side by side, the largest first."""
    if not subtrees:
        return EMPTY_ROOT
    joined = subtrees[-1]
    for it in subtrees[-2::-1]:
        joined = node_hash(it, joined)
    return joined


def included(index: int, size: int, hashed: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows the leaf with this hash at `index` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(hashed) != HASH:
        return False
    fn, sn = index, size - 1
    for step in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            hashed = node_hash(step, hashed)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            hashed = node_hash(hashed, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and hashed == root


def consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `old` leaves is the start of the other (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        return False  # of an empty tree there is nothing to show
    if old == new:
        return not proof and old_root == new_root
    steps = list(proof) if old & (old - 1) else [old_root, *list(proof)]
    if not steps:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            before, after = node_hash(step, before), node_hash(step, after)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            after = node_hash(after, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and before == old_root and after == new_root


# --- Ed25519: RFC 8032, section 5.1 ---------------------------------------------------------------

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE_D = -121665 * pow(121666, PRIME - 2, PRIME) % PRIME
ROOT_OF_MINUS_1 = pow(2, (PRIME - 1) // 4, PRIME)
Point = tuple[int, int, int, int]
"""Extended coordinates: x = X/Z, y = Y/Z, T = XY/Z."""
NEUTRAL: Point = (0, 1, 1, 0)


def point(encoded: bytes) -> Point | None:
    """The point that 32 bytes stand for; None where they stand for none."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if len(encoded) != 32 or y >= PRIME:
        return None
    u, v = (y * y - 1) % PRIME, (CURVE_D * y * y + 1) % PRIME
    x = u * pow(v, 3, PRIME) * pow(u * pow(v, 7, PRIME), (PRIME - 5) // 8, PRIME) % PRIME
    if v * x * x % PRIME != u:
        x = x * ROOT_OF_MINUS_1 % PRIME
        if v * x * x % PRIME != u:
            return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = PRIME - x
    return x, y, 1, x * y % PRIME


def added(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % PRIME, (p[1] + p[0]) * (q[1] + q[0]) % PRIME
    c, d = 2 * p[3] * q[3] * CURVE_D % PRIME, 2 * p[2] * q[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def encoded_point(p: Point) -> bytes:
    inverse = pow(p[2], PRIME - 2, PRIME)
    x, y = p[0] * inverse % PRIME, p[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = point((4 * pow(5, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little"))


def ed25519_verified(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed the message: R = [S]B - [k]A, compared as bytes."""
    a = point(public)
    if a is None or BASE is None or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    minus_a = (PRIME - a[0], a[1], 1, PRIME - a[3])
    terms = (NEUTRAL, BASE, minus_a, added(BASE, minus_a))
    found = NEUTRAL
    for bit in range(252, -1, -1):
        found = added(found, found)
        which = (s >> bit & 1) | (k >> bit & 1) << 1
        if which:
            found = added(found, terms[which])
    return encoded_point(found) == signature[:32]


# --- Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint ------------------------------

KEY_NAME = re.compile(r"[^\s+]+")
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def unbase64(text: str) -> bytes:
    """Decoded strictly: what could be spelt otherwise is refused, so that no flipped bit goes unseen."""
    try:
        raw = binascii.a2b_base64(text.encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        raise ValueError("not base64") from None
    if binascii.b2a_base64(raw, newline=False).decode("ascii") != text:
        raise ValueError("not base64")
    return raw


class VerifierKey(NamedTuple):
    """A C2SP verifier key: name+id+base64 of a type byte and an Ed25519 key."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        name, _, rest = vkey.strip().partition("+")
        id_, _, material = rest.partition("+")
        try:
            key = unbase64(material)
        except ValueError:
            key = b""
        expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
        if not KEY_NAME.fullmatch(name) or key[:1] != b"\1" or len(key) != 33 or id_ != expected.hex():
            raise Unusable("that is no Ed25519 verifier key of the form name+id+base64")
        return cls(name, expected, key[1:])

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}"


class Signed(NamedTuple):
    """A note's text, and the lines of signature below it."""

    text: str
    signatures: list[tuple[str, bytes]]


def split_note(raw: bytes) -> Signed:
    """Raises `ValueError` for what is not in the form of a signed note."""
    note = raw.decode("utf-8")
    text, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or re.search("[\x00-\x09\x0b-\x1f]", note):
        raise ValueError("not a signed note")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\N{EM DASH}" or not KEY_NAME.fullmatch(name):
            raise ValueError("not a signed note")
        signatures.append((name, unbase64(encoded)))
    return Signed(text + "\n", signatures)


def note_text(raw: bytes, key: VerifierKey) -> str:
    """The text that the key signed. Raises `ValueError` with what is wrong."""
    note = split_note(raw)
    ours = [it for name, it in note.signatures if name == key.name and it[:4] == key.id]
    if not ours:
        raise ValueError(f"no signature of {key}")
    if not all(ed25519_verified(key.public, note.text.encode(), it[4:]) for it in ours):
        raise ValueError("the signature is wrong")
    return note.text


class Checkpoint(NamedTuple):
    """The first `size` leaves of the log `origin` have this root."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises `ValueError` for what is no checkpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or not lines[0] or not NUMBER.fullmatch(lines[1]):
            raise ValueError("not a checkpoint")
        root = unbase64(lines[2])
        if len(root) != HASH:
            raise ValueError("not a checkpoint")
        return cls(lines[0], int(lines[1]), root)


def read_checkpoint(raw: bytes, key: VerifierKey, origin: str) -> Checkpoint:
    """The checkpoint that the key signed of that log. Raises `ValueError` with what is wrong."""
    checkpoint = Checkpoint.parse(note_text(raw, key))
    if checkpoint.origin != origin:
        raise ValueError("a checkpoint of another log")
    return checkpoint


# --- Leaves ---------------------------------------------------------------------------------------

LENGTH = struct.Struct(">I")
TOPIC_LENGTH = struct.Struct(">H")
HEAD = struct.Struct(">Q16sQ")
"""Position, record, version: what stands at the start of an event's leaf."""
EVENT = b"lethe/leaf/1\0"
ACCESS = b"lethe/access/1\0"
LEAF_BYTES_MAX = 64 << 20
PART_BYTES = 4 << 20
NO_HEAD = bytes(HEAD.size)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
FINGERPRINT = re.compile(r"[0-9a-f]{64}").fullmatch
BOX_BYTES_MIN = 28
TOLD = (b"erasure.", b"subject.", b"export.", b"backup.")
"""The topics whose public data is kept: claims are checked against it. None of it is personal."""


class Fact(NamedTuple):
    """An event that certificates and manifests speak of: its public data."""

    ordinal: int
    position: int
    record: str
    version: int
    topic: str
    recorded_at: str
    data: dict[str, Any]


class Examined(NamedTuple):
    """A run of leaves: their hashes and heads, what is wrong with them, and what they tell."""

    hashes: bytes
    heads: bytes
    faults: list[tuple[int, str]]
    facts: list[Fact]


def least_bytes(magic: bytes) -> int:
    """How long a leaf of that kind is at least."""
    return len(magic) + (HEAD.size + TOPIC_LENGTH.size if magic == EVENT else 0)


def next_leaf(buffer: bytes, at: int, magic: bytes, *, whole: bool) -> int:
    """Where the leaf at `at` ends; -1 where the buffer ends before it, unless it is `whole`.

    Where the length in front of a leaf cannot be right, it goes on with the next that begins like a leaf.
    """
    start = at + LENGTH.size
    if start <= len(buffer):
        length: int = LENGTH.unpack_from(buffer, at)[0]
        likely = least_bytes(magic) <= length <= LEAF_BYTES_MAX
        if likely and buffer.startswith(magic[: len(buffer) - start], start):
            if start + length <= len(buffer):
                return start + length
            if not whole:
                return -1
        found = buffer.find(magic, start + 1)
        if found >= 0:
            return found - LENGTH.size
    return len(buffer) if whole and at < len(buffer) else -1


def examine(buffer: bytes, magic: bytes, *, look_inside: bool = True) -> Examined:
    """Hash the leaves in the buffer, each with its length in front, and look at what they are."""
    sha256, length_at, head_end = hashlib.sha256, LENGTH.unpack_from, len(magic) + HEAD.size
    hashes: list[bytes] = []
    heads: list[bytes] = []
    faults: list[tuple[int, str]] = []
    facts: list[Fact] = []
    events, size, at, width, least = magic == EVENT, len(buffer), 0, len(magic), least_bytes(magic)
    while at < size:
        start = at + LENGTH.size
        end = start + length_at(buffer, at)[0] if start <= size else size + 1
        framed = start + least <= end <= size and buffer.startswith(magic, start)
        at = end if framed else next_leaf(buffer, at, magic, whole=True)
        data = buffer[start:at]
        hashes.append(sha256(b"\0" + data).digest())
        if not framed:
            faults.append((len(hashes) - 1, "it is not in the form of a leaf"))
            heads.append(NO_HEAD)
            continue
        if not events:
            heads.append(NO_HEAD)
            continue
        heads.append(data[width:head_end])
        if look_inside or data.startswith(TOLD, head_end + 2):
            fault = looked_into(data, head_end, len(hashes) - 1, facts)
            if fault:
                faults.append((len(hashes) - 1, fault))
    return Examined(b"".join(hashes), b"".join(heads), faults, facts)


def looked_into(data: bytes, head_end: int, ordinal: int, facts: list[Fact]) -> str:
    """What is wrong with the form of an event; empty where nothing is. What it tells goes to `facts`."""
    topic_start = head_end + TOPIC_LENGTH.size
    state_start = topic_start + TOPIC_LENGTH.unpack_from(data, head_end)[0]
    try:
        state = json.loads(data[state_start:])
        if not isinstance(state["recorded_at"], str) or not UUID(state["id"]):
            return "it is not in the form of an event"
        for box in state["sealed"]:
            if not well_formed(box):
                return "a box in it is not well-formed"
        if data.startswith(TOLD, topic_start):
            position, record, version = HEAD.unpack_from(data, head_end - HEAD.size)
            topic = data[topic_start:state_start].decode()
            facts.append(
                Fact(
                    ordinal,
                    position,
                    dashed(record),
                    version,
                    topic,
                    state["recorded_at"],
                    dict(state["data"]),
                )
            )
    except (ValueError, KeyError, TypeError, RecursionError):
        return "it is not in the form of an event"
    return ""


def well_formed(box: dict[str, Any]) -> bool:
    """A box names its subject, category, key and fields, and holds a nonce and a tag at least."""
    text = box["box"]
    raw = binascii.a2b_base64(text)
    return bool(
        len(raw) >= BOX_BYTES_MIN
        and binascii.b2a_base64(raw, newline=False) == text.encode()
        and UUID(box["subject"])
        and FINGERPRINT(box["key"])
        and box["category"]
        and box["fields"]
    )


def dashed(record: bytes) -> str:
    """A UUID as it is written."""
    it = record.hex()
    return "-".join((it[:8], it[8:12], it[12:16], it[16:20], it[20:]))


def examine_part(path: Path, start: int, size: int, magic: bytes) -> Examined:
    """`examine` a part of a file: what each process does."""
    with path.open("rb") as file:
        file.seek(start)
        return examine(file.read(size), magic)


def parts(path: Path, start: int, size: int, magic: bytes) -> Iterator[tuple[int, int]]:
    """Where the leaves in a file can be cut into parts: start and size of each."""
    end = start + size
    with path.open("rb") as file:
        file.seek(start)
        rest = b""
        while True:
            more = file.read(min(PART_BYTES, end - start - len(rest)))
            buffer, whole = rest + more, not more or start + len(rest) + len(more) >= end
            at, limit = 0, len(buffer)
            while at < limit:
                reached = next_leaf(buffer, at, magic, whole=whole)
                if reached < 0:
                    break
                at = reached
            if at:
                yield start, at
            start, rest = start + at, buffer[at:]
            if whole:
                return


def examined(path: Path, start: int, size: int, magic: bytes, processes: int) -> Iterator[Examined]:
    """All leaves in that stretch of the file, in order, by several processes where it is long."""
    stretches = parts(path, start, size, magic)
    if processes < 2 or size < 4 * PART_BYTES:
        for at, length in stretches:
            yield examine_part(path, at, length, magic)
        return
    with ProcessPoolExecutor(processes) as pool:
        running: deque[Any] = deque()
        for at, length in stretches:
            running.append(pool.submit(examine_part, path, at, length, magic))
            if len(running) > 2 * processes:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


class Order:
    """Positions rise, and each record's versions are 1, 2, 3 ...; from any on, without the start."""

    def __init__(self, *, from_the_start: bool) -> None:
        self.from_the_start = from_the_start
        self._position = 0
        self._versions: dict[bytes, int] = {}

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self._versions)

    @property
    def record_ids(self) -> set[str]:
        return {dashed(it) for it in self._versions}

    def faults(self, heads: bytes) -> list[tuple[int, str]]:
        """What is out of order among these heads: which of them, and how."""
        found: list[tuple[int, str]] = []
        last, versions, known = self._position, self._versions, self._versions.get
        for ordinal, (position, record, version) in enumerate(HEAD.iter_unpack(heads)):
            if position <= last and (position or version):
                found.append((ordinal, "its position is not above that of the event before it"))
            before = known(record)
            if before is None:
                if version != 1 and version and self.from_the_start:
                    found.append((ordinal, f"record {dashed(record)} begins with version {version}"))
            elif version != before + 1:
                words = f"version {version} of record {dashed(record)} follows version {before}"
                found.append((ordinal, words))
            if version:
                last, versions[record] = position, version
        self._position = last
        return found


# --- Leaves against stored hashes -----------------------------------------------------------------

LOOKAHEAD = 1 << 16
CLOSE = 8


class Queue:
    """Hashes that come in blocks, to look ahead in."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._buffer, self._at = b"", 0

    def peek(self, count: int, after: int = 0) -> bytes:
        """The next hashes, `after` some; fewer where there are no more."""
        start = self._at + after * HASH
        end = start + count * HASH
        while len(self._buffer) < end:
            block = next(self._blocks, None)
            if block is None:
                break
            self._buffer = self._buffer[self._at :] + block
            start, end, self._at = start - self._at, end - self._at, 0
        return self._buffer[start:end]

    def skip(self, count: int) -> None:
        self._at += count * HASH

    def take(self, count: int) -> bytes:
        found = self.peek(count)
        self.skip(count)
        return found

    def find(self, hashed: bytes) -> int:
        """How far ahead the hash stands; -1 where it does not, or not within reach."""
        ahead = self.peek(LOOKAHEAD)
        at = ahead.find(hashed)
        while at % HASH and at > 0:
            at = ahead.find(hashed, at + 1)
        return at // HASH if at >= 0 else -1


class Leaves:
    """The leaves of a log as they come: hashes to compare, and what was noticed on the way."""

    def __init__(self, runs: Iterable[Examined], order: Order | None, said: Callable[[int], None]) -> None:
        self.hashes = Queue(self._blocks(runs))
        self.count = 0
        self.span = (1, 0)
        """The first position and the last."""
        self.faults: list[tuple[int, str, int | None]] = []
        self.facts: list[Fact] = []
        self._order = order
        self._said = said
        self._heads: deque[tuple[int, bytes]] = deque(maxlen=64)

    def _blocks(self, runs: Iterable[Examined]) -> Iterator[bytes]:
        for run in runs:
            self._heads.append((self.count, run.heads))
            found = run.faults + (self._order.faults(run.heads) if self._order is not None else [])
            for ordinal, words in found[: FINDINGS_MAX - len(self.faults)]:
                self.faults.append((self.count + ordinal, words, self.position(self.count + ordinal)))
            self.facts += [it._replace(ordinal=self.count + it.ordinal) for it in run.facts]
            if run.heads:
                first, last = HEAD.unpack(run.heads[: HEAD.size])[0], HEAD.unpack(run.heads[-HEAD.size :])[0]
                self.span = (self.span[0] if self.count else first, last)
            self.count += len(run.hashes) // HASH
            self._said(self.count)
            yield run.hashes

    def position(self, ordinal: int) -> int | None:
        """Which position the leaf itself says that it has."""
        for first, heads in self._heads:
            head = heads[(ordinal - first) * HEAD.size : (ordinal - first + 1) * HEAD.size]
            if ordinal >= first and len(head) == HEAD.size:
                return int(HEAD.unpack(head)[0]) or None
        return None


class Changed(NamedTuple):
    """A leaf whose hash is not the one that is stored for its index."""

    seen: bytes
    stored: bytes
    position: int | None


class Alignment:
    """Compares leaves with stored hashes, index by index, and says where they differ and how."""

    def __init__(self, stored: Queue, leaves: Leaves, first: int, last: int) -> None:
        self.stored, self.leaves, self.index, self.last = stored, leaves, first, last
        self.changed: dict[int, Changed] = {}
        self._unlocated = 0
        self._ordinal = 0
        self._shifts = [(0, first)]
        self._missing = 0
        self._gaps: list[tuple[int, int]] = []
        self._absent: dict[bytes, int] = {}
        self._extra: list[tuple[int, bytes, int | None]] = []

    def take(self, count: int) -> bytes:
        """The hashes of the next leaves; the stored one stands in where a leaf is missing."""
        if not self._missing:
            stored = self.stored.peek(count)
            if len(stored) == count * HASH and self.leaves.hashes.peek(count) == stored:
                self._advance(count, count)
                return stored
        return b"".join([self._next() for _ in range(count)])

    def _next(self) -> bytes:
        while True:
            stored, leaf = self.stored.peek(1), self.leaves.hashes.peek(1)
            if self._missing:
                self._missing -= 1
                self._absent[stored] = self.index
                self._advance(1, 0)
                return stored or bytes(HASH)
            if not leaf:
                self._lack(self.last - self.index)
            elif leaf == stored or not stored:
                self._advance(1, 1)
                return leaf
            elif not self._resumed(leaf, stored):
                self._note_change(leaf, stored)
                self._advance(1, 1)
                return leaf

    def _advance(self, indexes: int, ordinals: int) -> None:
        self.stored.skip(indexes)
        self.leaves.hashes.skip(ordinals)
        self.index += indexes
        self._ordinal += ordinals
        if indexes != ordinals:
            self._shifts.append((self._ordinal, self.index - self._ordinal))

    def _resumed(self, leaf: bytes, stored: bytes) -> bool:
        """Whether leaves are missing here or too many, rather than one of them changed."""
        if len(self.changed) >= FINDINGS_MAX:
            return False
        for ahead in range(1, CLOSE + 1):
            if self.leaves.hashes.peek(1, ahead) == self.stored.peek(1, ahead) != b"":
                return False
        missing = self.stored.find(leaf)
        if missing > 0:
            self._lack(min(missing, self.last - self.index))
            return True
        extra = self.leaves.hashes.find(stored)
        if extra > 0:
            self._drop(extra)
        return extra > 0

    def _lack(self, count: int) -> None:
        self._missing = count
        self._gaps.append((self.index, self.index + count - 1))

    def _drop(self, count: int) -> None:
        for ahead in range(min(count, FINDINGS_MAX - len(self._extra))):
            position = self.leaves.position(self._ordinal + ahead)
            self._extra.append((self.index, self.leaves.hashes.peek(1, ahead), position))
        self._advance(0, count)

    def _note_change(self, leaf: bytes, stored: bytes) -> None:
        if len(self.changed) < FINDINGS_MAX:
            self.changed[self.index] = Changed(leaf, stored, self.leaves.position(self._ordinal))
        else:
            self._unlocated += 1

    @property
    def shifted(self) -> bool:
        """Whether leaves are missing or too many so far."""
        return len(self._shifts) > 1

    def index_of(self, ordinal: int) -> int:
        """Which index the leaf has that stands at `ordinal` in the data."""
        at = bisect.bisect_right(self._shifts, (ordinal, sys.maxsize)) - 1
        return ordinal + self._shifts[at][1]

    def report(self, findings: Findings, place: str) -> None:
        """What differs, in the order of the log. Reads the leaves to their end."""
        while self.leaves.hashes.peek(1):
            self._drop(len(self.leaves.hashes.peek(LOOKAHEAD)) // HASH)
        home = dict(self._absent)
        home.update((it.stored, index) for index, it in self.changed.items())
        noted = [Finding(place, MISSING, first, last) for first, last in self._gaps]
        for index, it in self.changed.items():
            words = "its bytes are not those that the tree has"
            if it.seen in home:
                words = f"the leaf of index {home[it.seen]} stands in its place"
            noted.append(Finding(place, words, index, None, it.position))
        for index, hashed, position in self._extra:
            words = "before it stands a leaf that the tree has not"
            if hashed in home:
                words = f"before it stands the leaf of index {home[hashed]}"
            noted.append(Finding(place, words, index, None, position))
        for ordinal, words, position in self.leaves.faults:
            noted.append(Finding(place, words, self.index_of(ordinal), None, position))
        for finding in sorted(noted, key=lambda it: it.first or 0):
            findings.add(*finding)
        findings.total += self._unlocated


# --- The tree of tiles ----------------------------------------------------------------------------


def tile_width(level: int, number: int, size: int) -> int:
    """How many hashes a tile has in a tree of `size` leaves."""
    return max(0, min(WIDTH, (size >> 8 * level) - number * WIDTH))


def tiles_needed(level: int, first: int, last: int, size: int) -> list[int]:
    """The tiles of a level that lead from the leaves `first` up to `last` (not included) to the root."""
    above = 8 * (level + 1)
    total = size >> 8 * level
    numbers = set(range(first >> above, ((last - 1) >> above) + 1)) if last > first else set()
    if total % WIDTH:
        numbers.add(total >> 8)
    return sorted(it for it in numbers if tile_width(level, it, size))


def levels_of(size: int) -> int:
    """How many levels of tiles a tree has."""
    return (size.bit_length() + 7) // 8


Tiles = dict[tuple[int, int], bytes]


class WrongTile(NamedTuple):
    """A tile that is not what the signed root is made of, or one hash of it."""

    level: int
    number: int
    entry: int | None

    def finding(self, place: str) -> Finding:
        low, high = self.number * WIDTH, (self.number + 1) * WIDTH
        words = f"level {self.level}, tile {self.number} is wrong"
        if self.entry is not None:
            low, high = low + self.entry, low + self.entry + 1
            words = f"level {self.level}, tile {self.number}, hash {self.entry} is wrong"
        return Finding(place, words, low << 8 * self.level, (high << 8 * self.level) - 1)


class Resolution(NamedTuple):
    """What came of proving: the tiles that are wrong, and the leaves that are right after all."""

    wrong: list[WrongTile]
    right: set[int]


class Tree:
    """Tiles as they are stored, against the leaves below them and the signed root above them."""

    def __init__(self, size: int, first: int, last: int, earlier: Iterable[int] = ()) -> None:
        self.size, self.first, self.last = size, first, last
        self.stored: Tiles = {}
        self._folds: dict[int, bytes] = {}
        """What each full tile of level 0 hashes to, as it is stored."""
        self._seen: dict[int, bytes] = {}
        """The tiles of level 0 that differ from what the leaves say: what they say."""
        self._cuts: dict[int, list[int]] = {}
        self._partial: dict[int, list[bytes]] = {}
        for it in earlier:
            self._cuts.setdefault(it >> 8, []).append(it)

    def numbers(self, level: int) -> list[int]:
        return tiles_needed(level, self.first, self.last, self.size)

    def compare(self, stored: Queue, alignment: Alignment) -> None:
        """Run the leaves past the stored hashes of level 0."""
        for number in self.numbers(0):
            base = number * WIDTH
            end = base + tile_width(0, number, self.size)
            low, high = min(max(self.first, base), end), max(min(self.last, end), base)
            if low >= high:
                low = high = end
            before, at = stored.take(low - base), stored.peek(high - low)
            seen = alignment.take(high - low)
            after = stored.take(end - high)
            self.put(number, before + at + after, before + seen + after)

    def put(self, number: int, stored: bytes, seen: bytes) -> None:
        """One tile of level 0: as it is stored, and as the leaves say that it is."""
        width = tile_width(0, number, self.size)
        if len(stored) == width * HASH:
            if width == WIDTH:
                self._folds[number] = fold(stored)
            else:
                self.stored[0, number] = stored
        if seen != stored and len(self._seen) < FINDINGS_MAX:
            self._seen[number] = seen
            self.stored[0, number] = stored
        self._cut(number, stored)

    def _cut(self, number: int, tile: bytes) -> None:
        """Keep what is needed of the tile for the roots of earlier trees that end in it."""
        for size in self._cuts.get(number, ()):
            if len(tile) >= size % WIDTH * HASH:
                self._partial[size] = peaks(tile[: size % WIDTH * HASH])

    def root_at(self, size: int) -> bytes | None:
        """The root when the tree had that many leaves, by the stored tiles; None where some are not there."""
        found: list[bytes] = []
        for level in range(levels_of(size) - 1, 0, -1):
            count = (size >> 8 * level) % WIDTH
            tile = self.stored.get((level, size >> 8 * (level + 1)), b"")[: count * HASH]
            if len(tile) < count * HASH:
                return None
            found += peaks(tile)
        if size % WIDTH and size not in self._partial:
            return None
        return join(found + self._partial.get(size, []))

    def resolve(self, root: bytes) -> Resolution | None:
        """What of tiles and leaves leads to the signed root; None where nothing does.

        Afterwards `root_at` goes by what was proved.
        """
        rebuilt = self._rebuilt()
        if self._root(rebuilt) == root:
            found = Resolution([], set())
            for at, tile in rebuilt.items():
                if at[0]:
                    self._blame_tile(at, tile, found)
            for number in self._seen:
                self._clear_leaves(number, found)
            self.stored.update(rebuilt)
            return found
        return self._descend(rebuilt) if self._root(self.stored) == root else None

    def _rebuilt(self) -> Tiles:
        """The tiles as they follow from those below them, and at the bottom from the leaves."""
        below = dict(self._folds)
        rebuilt: Tiles = {}
        for number, seen in self._seen.items():
            if len(seen) == WIDTH * HASH:
                below[number] = fold(seen)
        partial = self.size >> 8
        if self.size % WIDTH:
            rebuilt[0, partial] = self._seen.get(partial, self.stored.get((0, partial), b""))
        for level in range(1, levels_of(self.size)):
            full: dict[int, bytes] = {}
            for number in self.numbers(level):
                width = tile_width(level, number, self.size)
                tile = self.stored.get((level, number), b"").ljust(width * HASH, b"\0")
                entries = [tile[at : at + HASH] for at in range(0, width * HASH, HASH)]
                for entry in range(width):
                    entries[entry] = below.get(number * WIDTH + entry, entries[entry])
                rebuilt[level, number] = b"".join(entries)
                if width == WIDTH:
                    full[number] = fold(rebuilt[level, number])
            below = full
        return rebuilt

    def _root(self, tiles: Tiles) -> bytes | None:
        found: list[bytes] = []
        for level in range(levels_of(self.size) - 1, -1, -1):
            total = self.size >> 8 * level
            tile = tiles.get((level, total >> 8), b"")
            if len(tile) < total % WIDTH * HASH:
                return None
            found += peaks(tile[: total % WIDTH * HASH])
        return join(found)

    def _descend(self, rebuilt: Tiles) -> Resolution:
        """From the signed root down: what a proved tile says of one below proves that one, or not."""
        found = Resolution([], set())
        proved: Tiles = {}
        for level in range(levels_of(self.size) - 1, -1, -1):
            for number in self.numbers(level):
                at, above = (level, number), proved.get((level + 1, number >> 8))
                if tile_width(level, number, self.size) < WIDTH:
                    proved[at] = self.stored[at]
                elif above is not None:
                    place = number % WIDTH * HASH
                    tile = self._proved(at, above[place : place + HASH], rebuilt, found)
                    if tile is not None:
                        proved[at] = tile
        self.stored.update(proved)
        return found

    def _proved(self, at: tuple[int, int], hashed: bytes, rebuilt: Tiles, found: Resolution) -> bytes | None:
        """The tile that has this hash, as stored or as it follows from below; None where neither has."""
        level, number = at
        stored = self.stored.get(at, b"")
        if level == 0:
            if self._folds.get(number) == hashed:
                return stored
            if fold(self._seen.get(number, b"")) == hashed:
                self._clear_leaves(number, found)
                return self._seen[number]
        elif len(stored) == WIDTH * HASH and fold(stored) == hashed:
            return stored
        elif fold(rebuilt[at]) == hashed:
            self._blame_tile(at, rebuilt[at], found)
            return rebuilt[at]
        found.wrong.append(WrongTile(level, number, None))
        return None

    def _clear_leaves(self, number: int, found: Resolution) -> None:
        """The leaves of this tile are right: it is what is stored of their hashes that is wrong."""
        self._blame_tile((0, number), self._seen[number], found)
        self._cut(number, self._seen[number])
        found.right.update(range(number * WIDTH, (number + 1) * WIDTH))

    def _blame_tile(self, at: tuple[int, int], right: bytes, found: Resolution) -> None:
        stored = self.stored.get(at, b"")
        if len(stored) != len(right):
            found.wrong.append(WrongTile(at[0], at[1], None))
            return
        for entry in range(len(right) // HASH):
            place = slice(entry * HASH, (entry + 1) * HASH)
            if stored[place] != right[place]:
                found.wrong.append(WrongTile(at[0], at[1], entry))


# --- Bundles --------------------------------------------------------------------------------------

BUNDLE_FORM = "lethe/bundle/1"
SEAL = b"lethe/bundle/1 sha256:"
SMALL_BYTES_MAX = 16 << 20
LOCAL_HEADER = struct.Struct("<4s22xHH")


class Bundle:
    """A ZIP of members that are stored as they are: they are read where they lie, a piece at a time."""

    def __init__(self, path: Path) -> None:
        """Raises `ValueError` for what is no bundle, `OSError` where there is nothing."""
        self.path = path
        self.total = path.stat().st_size
        self._members: dict[str, tuple[int, int]] = {}
        with path.open("rb") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    self._comment = archive.comment
                    for it in archive.infolist():
                        self._members[it.filename] = self._where(file, it)
            except (zipfile.BadZipFile, struct.error, NotImplementedError, EOFError, OverflowError) as error:
                raise ValueError(f"it cannot be read as a ZIP: {error}") from None

    @staticmethod
    def _where(file: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
        file.seek(member.header_offset)
        magic, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        if magic != b"PK\3\4" or member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member.filename!a} in it is not stored as it is")
        return member.header_offset + LOCAL_HEADER.size + name + extra, member.file_size

    def names(self, folder: str) -> list[str]:
        return sorted(it for it in self._members if it.startswith(folder))

    def where(self, name: str) -> tuple[int, int]:
        """Where the member lies in the file, and how long it is. Raises `ValueError` where there is none."""
        if name not in self._members:
            raise ValueError(f"it has no {name}")
        return self._members[name]

    def read(self, name: str) -> bytes:
        """A small member. Raises `ValueError`."""
        start, size = self.where(name)
        if size > SMALL_BYTES_MAX:
            raise ValueError(f"its {name} is too long")
        return b"".join(self.blocks(start, size))

    def blocks(self, start: int, size: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while size > 0:
                block = file.read(min(size, 1 << 20))
                if not block:
                    return
                size -= len(block)
                yield block

    def sealed(self) -> bool:
        """Whether no bit of the file has changed: its comment ends with the hash of all before."""
        hashed = hashlib.sha256()
        for block in self.blocks(0, self.total - 64):
            hashed.update(block)
        return self._comment == SEAL + hashed.hexdigest().encode()


class Scope(NamedTuple):
    """What a bundle says that it holds."""

    record: str | None
    namespace: str
    origin: str
    vkey: str
    size: int
    first: int
    last: int
    """Not included."""
    made_at: str

    @classmethod
    def read(cls, raw: bytes) -> Scope:
        """Raises `ValueError` for what is no manifest."""
        try:
            it = json.loads(raw)
            if it["format"] != BUNDLE_FORM:
                raise ValueError(f"it is of another form than {BUNDLE_FORM}")
            scope = cls(
                it.get("record"), it["namespace"], it["origin"], it["vkey"], it["size"], it["from_index"],
                it["to_index"], it["made_at"],
            )  # fmt: skip
            if not 0 <= scope.first <= scope.last <= scope.size:
                raise ValueError("its range is not in its tree")
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError("its manifest.json is not in the right form") from None
        return scope


class Check(NamedTuple):
    """One question, and the answer in a line."""

    name: str
    well: bool
    words: str


class Verification:
    """The verification of one bundle: what was checked, what is wrong, and what was erased."""

    def __init__(self, bundle: Bundle, *, processes: int, say: Callable[[str], None]) -> None:
        self.bundle = bundle
        self.findings = Findings()
        self.checks: list[Check] = []
        self.erasures: list[dict[str, Any]] = []
        self.records = self.leaves = 0
        self._processes, self._say = processes, say
        self._facts: list[Fact] = []
        self._span = (1, 0)
        self._tree: Tree | None = None

    def run(self, key: VerifierKey | None, kept: Sequence[tuple[str, bytes]]) -> None:
        """Check all of it. `kept` are the auditor's own checkpoints, by name. Raises `ValueError`."""
        self.scope = Scope.read(self.bundle.read("manifest.json"))
        self.key = key if key is not None else VerifierKey.parse(self.scope.vkey)
        self._ask("file", self._check_seal)
        self.checkpoint = Checkpoint.parse(split_note(self.bundle.read(CHECKPOINT)).text)
        self._ask(CHECKPOINT, self._check_checkpoint)
        earlier = self._earlier(kept)
        self._ask("leaves", lambda: self._check_leaves([it.size for _, it in earlier]))
        if earlier or kept:
            self._ask("earlier checkpoints", lambda: self._check_earlier(earlier))
        if self.bundle.names("certificates/") or self.bundle.names("exports/"):
            self._ask("notes", self._check_notes)
        self.erasures = erasures_of(self._facts)

    def _ask(self, name: str, question: Callable[[], str]) -> None:
        before = self.findings.total
        try:
            words = question()
        except ValueError as error:
            self.findings.add(name, str(error))
            words = ""
        wrong = self.findings.total - before
        self.checks.append(Check(name, not wrong, words if not wrong else f"{wrong} wrong"))

    def _check_seal(self) -> str:
        if not self.bundle.sealed():
            raise ValueError("some bit of the bundle is not as it was written")
        return "every bit of the bundle is as it was written"

    def _check_checkpoint(self) -> str:
        read_checkpoint(self.bundle.read(CHECKPOINT), self.key, self.key.name)
        if (self.scope.origin, self.scope.size) != self.checkpoint[:2]:
            raise ValueError("it is not the one that the manifest speaks of")
        return f"signed by {self.key}: {self.checkpoint.size} leaves"

    def _check_notes(self) -> str:
        """Certificates and manifests."""
        facts = {it.position: it for it in self._facts}
        names = self.bundle.names("certificates/") + self.bundle.names("exports/")
        for name in names:
            try:
                check_against_log(read_note(self.bundle.read(name), self.key), facts, self._span)
            except ValueError as error:  # noqa: PERF203 - each is wrong for itself
                self.findings.add(name, str(error))
        return f"{len(names)} certificates and manifests say what the log says"

    def _earlier(self, kept: Sequence[tuple[str, bytes]]) -> list[tuple[str, Checkpoint]]:
        """Name and checkpoint; what is none is found here."""
        found = []
        ours = [it for it in self.bundle.names("earlier/") if it.endswith(".note")]
        for name, raw in [(it, self.bundle.read(it)) for it in ours] + list(kept):
            try:
                found.append((name, read_checkpoint(raw, self.key, self.key.name)))
            except ValueError as error:  # noqa: PERF203 - each is wrong for itself
                self.findings.add(name, str(error))
        return found

    def _check_earlier(self, earlier: list[tuple[str, Checkpoint]]) -> str:
        for name, it in earlier:
            if it.size > self.checkpoint.size:
                self.findings.add(name, f"it is of {it.size} leaves, more than the bundle's tree has")
                continue
            stored = self._tree.root_at(it.size) if self._tree is not None else None
            if stored is not None and stored != it.root:
                self.findings.add(name, f"the first {it.size} leaves have another root now")
            elif not self._proved(it) and stored is None:
                self.findings.add(
                    name, f"nothing in the bundle shows that its {it.size} leaves are still there"
                )
        return f"the tree has only grown since each of {len(earlier)}"

    def _proved(self, earlier: Checkpoint) -> bool:
        name, proof = f"earlier/{earlier.size}.proof", []
        if earlier.size == 0:
            return earlier.root == EMPTY_ROOT
        if earlier.size == self.checkpoint.size:
            pass  # the roots are compared
        elif name in self.bundle.names(name):
            proof = [unbase64(it) for it in self.bundle.read(name).decode("ascii").split()]
        else:
            return False
        now = self.checkpoint
        if not consistent(earlier.size, now.size, earlier.root, now.root, proof):
            self.findings.add(name, f"it does not show that the {earlier.size} leaves are still there")
        return True

    def _check_leaves(self, earlier: Sequence[int]) -> str:
        if self.scope.record is not None:
            return self._check_record()
        size, first, last = self.checkpoint.size, self.scope.first, min(self.scope.last, self.checkpoint.size)
        if last - first > self.bundle.total // HASH:
            raise ValueError("the bundle is far too short for what it says that it holds")
        order = Order(from_the_start=first == 0)
        leaves = Leaves(self._examined(), order, self._told)
        tree = self._tree = Tree(size, first, last, earlier)
        self._load_tiles(tree)
        alignment = Alignment(Queue(self._level_0(tree)), leaves, first, last)
        tree.compare(alignment.stored, alignment)
        prove(tree, alignment, self.checkpoint.root, self.findings)
        self._facts, self.leaves, self.records = leaves.facts, leaves.count, order.records
        self._span = leaves.span
        return f"{first} to {last - 1}: each is what the root is made of" if last > first else "none"

    def _examined(self) -> Iterator[Examined]:
        start, size = self.bundle.where("leaves.bin")
        return examined(self.bundle.path, start, size, EVENT, self._processes)

    def _told(self, count: int) -> None:
        self._say(f"{count} of {self.scope.last - self.scope.first} leaves")

    def _load_tiles(self, tree: Tree) -> None:
        for level in range(1, levels_of(tree.size)):
            name = f"tiles/{level}"
            start, size = self.bundle.where(name)
            queue = Queue(self.bundle.blocks(start, size))
            for number in tree.numbers(level):
                tree.stored[level, number] = queue.take(tile_width(level, number, tree.size))
            self._check_size(name, tree, level, size)

    def _level_0(self, tree: Tree) -> Iterator[bytes]:
        if not tree.size:
            return iter(())
        start, size = self.bundle.where("tiles/0")
        self._check_size("tiles/0", tree, 0, size)
        return self.bundle.blocks(start, size)

    def _check_size(self, name: str, tree: Tree, level: int, size: int) -> None:
        expected = sum(tile_width(level, it, tree.size) for it in tree.numbers(level)) * HASH
        if size != expected:
            self.findings.add(name, f"it has {size} bytes, not {expected}")

    def _check_record(self) -> str:
        """Each leaf by a proof of its own."""
        order = Order(from_the_start=True)
        leaves = Leaves(self._examined(), order, self._told)
        last, ordinal = -1, 0
        start, size = self.bundle.where("proofs.jsonl")
        for index, proof in proofs_of(self.bundle.blocks(start, size)):
            hashed, position = leaves.hashes.take(1), leaves.position(ordinal)
            if not hashed:
                self.findings.add(LEAF, MISSING, index)
            elif index <= last or not included(
                index, self.checkpoint.size, hashed, proof, self.checkpoint.root
            ):
                self.findings.add(
                    LEAF, "it or its proof is not what the root is made of", index, None, position
                )
            last, ordinal = index, ordinal + 1
        while leaves.hashes.take(1):
            self.findings.add(LEAF, "it has no proof", None, None, leaves.position(ordinal))
            ordinal += 1
        for _, words, position in leaves.faults:
            self.findings.add(LEAF, words, None, None, position)
        others = order.record_ids - {self.scope.record}
        if others:
            self.findings.add(LEAF, f"it is of record {min(others)}, which was not asked for")
        self._facts, self.leaves, self.records = leaves.facts, leaves.count, order.records
        return f"{leaves.count} of record {self.scope.record}: each is in the tree"


def prove(
    tree: Tree,
    alignment: Alignment,
    root: bytes,
    findings: Findings,
    places: tuple[str, str, str] = (LEAF, TILE, CHECKPOINT),
) -> None:
    """Say what of leaves and tiles is not what the root is made of. `places`: what findings call these."""
    leaf, tile, above = places
    found = tree.resolve(root)
    if found is None:
        findings.add(above, "neither the leaves nor the tiles lead to its root")
    else:
        for index in found.right & alignment.changed.keys():
            del alignment.changed[index]
        for it in found.wrong:
            findings.add(*it.finding(tile))
    alignment.report(findings, leaf)


def proofs_of(blocks: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Index and audit path of each leaf, a line each. Raises `ValueError`."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from map(proof_of, lines)
    if rest:
        raise ValueError("its proofs.jsonl breaks off")


def proof_of(line: bytes) -> tuple[int, list[bytes]]:
    try:
        it = json.loads(line)
        return int(it["index"]), [unbase64(step) for step in it["proof"]]
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("its proofs.jsonl is not in the right form") from None


# --- What was erased ------------------------------------------------------------------------------


def erasures_of(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """Each erasure that the events tell of: whom by the pseudonym, when, where in the log, sealed by what."""
    found: dict[str, dict[str, Any]] = {}
    for it in facts:
        if not it.topic.startswith(("erasure.", "subject.erased")):
            continue
        erasure = found.setdefault(it.record, {"erasure_id": it.record, "subject_id": None, "categories": []})
        when = {"at": it.recorded_at, "position": it.position}
        if it.topic in ("erasure.requested", "subject.erased"):
            erasure["subject_id"] = it.data.get("erased_subject_id")
            erasure["categories"] = it.data.get("categories") or []
        if it.topic == "subject.erased":
            when["fingerprints"] = it.data.get("fingerprints")
        if it.topic == "erasure.sealed":
            when["epoch"] = it.data.get("epoch")
        erasure[it.topic.split(".")[1]] = when
    return list(found.values())


# --- Certificates and manifests -------------------------------------------------------------------

CERTIFICATE, MANIFEST = "lethe/certificate/1", "lethe/export/1"
REPORT_END = b"<!--lethe/export/1-->\n"
"""In a report in HTML: the digest is over what comes before it."""


class Note(NamedTuple):
    """What a signed note claims, and the events that it proves by itself."""

    kind: str
    claims: dict[str, Any]
    facts: list[Fact]


def read_note(raw: bytes, key: VerifierKey) -> Note:
    """A certificate or a manifest, its signature and its proofs checked. Raises `ValueError`."""
    kind, _, text = note_text(raw, key).partition("\n")
    if kind not in (CERTIFICATE, MANIFEST):
        raise ValueError("neither a certificate of erasure nor a manifest of an export")
    try:
        claims = json.loads(text)
        facts = [proved(it, key) for it in proofs_in(claims, {})]
        needed = needed_by(kind, claims)
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("what it says is not in the right form") from None
    for fact in facts:
        contradiction = contradicted(kind, claims, fact)
        if contradiction:
            raise ValueError(f"{contradiction} is not what the event at position {fact.position} says")
    for topic in sorted(needed - {it.topic for it in facts}):
        raise ValueError(f"it does not prove that there is the event {topic}")
    if kind == CERTIFICATE:
        check_acknowledgements(claims.get("subscribers", []), facts)
    return Note(kind, claims, facts)


def check_acknowledgements(claimed: Any, facts: list[Fact]) -> None:
    """A certificate names those who acknowledged, by the proved events and no others. Raises `ValueError`."""
    told = {it.data["subscriber"]: it.recorded_at for it in facts if it.topic == "erasure.acknowledged"}
    try:
        said = {it["name"]: it["acknowledged_at"] for it in claimed}
    except (KeyError, TypeError):
        raise ValueError("what it says is not in the right form") from None
    for name in sorted(told.keys() | said.keys()):
        if said.get(name) != told.get(name):
            raise ValueError(f"no event proves what is said of the acknowledgement by {name}")


def needed_by(kind: str, claims: dict[str, Any]) -> set[str]:
    """The events without which a note is not to be believed."""
    if kind == MANIFEST:
        return {"export.made"}
    sealed = {"erasure.sealed"} if claims["sealed_epoch"] is not None else set()
    return {"erasure.requested", "subject.erased"} | sealed


def proofs_in(part: Any, around: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Whatever brings a leaf along, with the checkpoint that stands beside it or around it."""
    if isinstance(part, dict):
        own = {**{it: around[it] for it in ("checkpoint",) if it in around}, **part}
        if "leaf" in part and "leaf_index" in part:
            yield own
        for it in part.values():
            yield from proofs_in(it, own)
    elif isinstance(part, list):
        for it in part:
            yield from proofs_in(it, around)


def proved(it: dict[str, Any], key: VerifierKey) -> Fact:
    """The event whose leaf is brought along, if it is in the tree of the checkpoint. Raises `ValueError`."""
    checkpoint = read_checkpoint(it["checkpoint"].encode(), key, key.name)
    leaf, steps = unbase64(it["leaf"]), [bytes.fromhex(step) for step in it["inclusion"]]
    if not included(it["leaf_index"], checkpoint.size, leaf_hash(leaf), steps, checkpoint.root):
        raise ValueError(f"the event of leaf {it['leaf_index']} is not in the tree")
    found = examine(LENGTH.pack(len(leaf)) + leaf, EVENT)
    if found.faults or len(found.facts) != 1:
        raise ValueError(f"leaf {it['leaf_index']} is no event that a note tells of")
    [fact] = found.facts
    if (it.get("topic", fact.topic), it.get("position", fact.position)) != (fact.topic, fact.position):
        raise ValueError(f"leaf {it['leaf_index']} is another event than it is said to be")
    return fact


def contradicted(kind: str, claims: dict[str, Any], fact: Fact) -> str:
    """What the note claims otherwise than the event says; empty where nothing is."""
    said = dict(fact.data)
    if kind == MANIFEST:
        said.update(export_id=fact.record, position=fact.position)
    else:
        said.update(erasure_id=fact.record, subject_id=fact.data.get("erased_subject_id"))
        if fact.topic == "erasure.requested":
            said["requested_at"] = fact.recorded_at
        elif fact.topic == "subject.erased":
            said["erased_at"] = fact.recorded_at
        elif fact.topic == "erasure.sealed":
            said.update(sealed_at=fact.recorded_at, sealed_epoch=fact.data["epoch"])
    return next((it for it in said if it in claims and said[it] is not None and claims[it] != said[it]), "")


def events_claimed(part: Any) -> Iterator[tuple[int, str]]:
    """Position and topic of each event that a note names."""
    if isinstance(part, dict):
        if isinstance(part.get("position"), int) and isinstance(part.get("topic"), str):
            yield part["position"], part["topic"]
        for it in part.values():
            yield from events_claimed(it)
    elif isinstance(part, list):
        for it in part:
            yield from events_claimed(it)


def check_against_log(note: Note, facts: dict[int, Fact], span: tuple[int, int]) -> None:
    """What a note says of the log, against the events from one position to another. Raises `ValueError`."""
    named = list(events_claimed(note.claims)) + [(it.position, it.topic) for it in note.facts]
    for position, topic in named:
        fact = facts.get(position)
        if span[0] <= position <= span[1] and (fact is None or fact.topic != topic):
            raise ValueError(f"the log has no {topic} at position {position}")
        if fact is not None:
            contradiction = contradicted(note.kind, note.claims, fact)
            if contradiction:
                raise ValueError(f"{contradiction} is not what the event at position {position} says")


def export_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and length of an export; of a report, of what comes before its proof."""
    hashed, count, held = hashlib.sha256(), 0, b""
    with path.open("rb") as file:
        while True:
            block = file.read(1 << 20)
            held += block
            end = held.find(REPORT_END)
            cut = end if end >= 0 else max(0, len(held) - len(REPORT_END)) if block else len(held)
            hashed.update(held[:cut])
            count += cut
            held = held[cut:]
            if end >= 0 or not block:
                return hashed.hexdigest(), count


def verify_note(path: Path, export: Path | None, key: VerifierKey) -> Outcome:
    """Verify a certificate or a manifest alone, and the export that it is of."""
    findings = Findings()
    document: dict[str, Any] = {}
    lines: list[str] = []
    try:
        note = read_note(slurp(path), key)
        document = {"kind": note.kind, "claims": note.claims, "vkey": str(key)}
        lines.append(f"ok  {note.kind}: signed by {key}, {len(note.facts)} events proved to be in the log")
        if export is not None:
            digest, count = export_digest(export)
            if (digest, count) != (note.claims.get("sha256"), note.claims.get("byte_count")):
                raise ValueError("the export is not the one that this is the manifest of")
            lines.append(f"ok  export: {count} bytes, as they were handed over")
    except ValueError as error:
        findings.add(str(path), str(error))
    return outcome(str(path), document, lines, findings)


# --- The command ----------------------------------------------------------------------------------

PROGRESS_SECONDS = 2.0


class Outcome(NamedTuple):
    """What a command found: a document, the same in lines, and whether all holds."""

    document: dict[str, Any]
    lines: list[str]
    well: bool


class Progress:
    """Says on standard error how far long work is, every other second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, words: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_SECONDS
            sys.stderr.write(words + "\n")
            sys.stderr.flush()


def verify_bundle(
    path: Path, key: VerifierKey | None, kept: Sequence[Path], processes: int, say: Callable[[str], None]
) -> Outcome:
    """Verify one bundle. What cannot be read at all is a finding too: it is not what was exported."""
    findings = Findings()
    checkpoints = [(str(it), slurp(it)) for it in kept]
    try:
        work = Verification(Bundle(path), processes=processes, say=say)
        findings = work.findings
        work.run(key, checkpoints)
    except ValueError as error:
        findings.add("bundle", str(error))
        return outcome(str(path), {}, [], findings)
    scope = work.scope
    document = {
        "origin": work.key.name,
        "vkey_from": "bundle" if key is None else "caller",
        "vkey": str(work.key),
        "record": scope.record,
        "from_index": scope.first,
        "to_index": scope.last,
        "size": scope.size,
        "made_at": scope.made_at,
        "leaves": work.leaves,
        "records": work.records,
        "checks": [it._asdict() for it in work.checks],
        "erasures": work.erasures,
    }
    lines = [check_in_words(it) for it in work.checks]
    lines += [f"erased: {erased_in_words(it)}" for it in work.erasures]
    if key is None:
        lines.append(
            "note: checked with the key that the bundle brought along; give --vkey one that you trust"
        )
    return outcome(str(path), document, lines, findings)


def outcome(what: str, document: dict[str, Any], lines: list[str], findings: Findings) -> Outcome:
    """The findings below what was checked, and the verdict last."""
    well = not findings.total
    said = dict(document, file=what, verified=well)
    said["first_bad_index"] = findings.first_bad_index
    said["missing"] = [list(it) for it in findings.missing]
    said["findings"] = [dict(it._asdict(), words=it.words) for it in findings.kept]
    said["findings_total"] = findings.total
    verdict = "VERIFIED" if well else f"NOT VERIFIED: {findings.total} wrong"
    if findings.first_bad_index is not None:
        verdict += f"; the first bad index is {findings.first_bad_index}"
    more = findings.total - len(findings.kept)
    told = [f"  {it}" for it in findings.kept] + ([f"  and {more} more"] if more else [])
    return Outcome(said, [what, *lines, *told, verdict], well)


def check_in_words(it: Check) -> str:
    return f"{'ok ' if it.well else 'BAD'} {it.name}: {it.words}"


def erased_in_words(it: dict[str, Any]) -> str:
    what = ", ".join(it["categories"]) or "everything"
    words = f"{what} of subject {it['subject_id']}"
    for step in ("requested", "held", "erased", "sealed"):
        if step in it:
            words += f", {step} {it[step]['at']} (position {it[step]['position']})"
    if "sealed" in it:
        words += f" by epoch {it['sealed']['epoch']}"
    return words if "erased" in it else words + ", not carried out"


def slurp(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SMALL_BYTES_MAX)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    it = argparse.ArgumentParser(
        prog="verifier.py", description="Verifies what Lethe exports for an audit, offline."
    )
    it.add_argument("file", type=Path, help="a bundle, a certificate, or an export with --manifest")
    it.add_argument("--vkey", help="the log's verifier key, as you have it from elsewhere than the bundle")
    it.add_argument(
        "--earlier",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="a checkpoint that you kept; may be repeated",
    )
    it.add_argument(
        "--manifest", type=Path, metavar="FILE", help="the signed note of an export: verify it with the file"
    )
    it.add_argument("--json", action="store_true", help="one JSON document on standard output")
    it.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1), help="how many at most")
    return it.parse_args(argv)


def verified(given: argparse.Namespace, key: VerifierKey | None) -> Outcome:
    """By what the file is. Raises `Unusable` or `OSError`."""
    with given.file.open("rb") as file:
        is_note = file.read(6) == b"lethe/"
    if not is_note and given.manifest is None:
        return verify_bundle(given.file, key, given.earlier, given.processes, Progress())
    if key is None:
        raise Unusable(
            "a note is verified with --vkey: the log's verifier key, as you have it from elsewhere"
        )
    if given.manifest is not None:
        return verify_note(given.manifest, given.file, key)
    return verify_note(given.file, None, key)


def main(argv: Sequence[str]) -> int:
    given = arguments(argv)
    try:
        key = VerifierKey.parse(given.vkey) if given.vkey else None
        found = verified(given, key)
    except (Unusable, OSError) as error:
        sys.stderr.write(f"verifier: {error}\n")
        return 2
    if given.json:
        sys.stdout.write(json.dumps(found.document, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(found.lines) + "\n")
    return 0 if found.well else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(1)
