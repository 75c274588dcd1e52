"""Merkle trees as RFC 6962 and RFC 9162 define them: hashes, roots, proofs and their verification.

Nothing is stored here. Hashes that are needed are asked for by place, and only for complete subtrees.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()


class Node(NamedTuple):
    """A complete subtree of 2^level leaves, the `number`-th such from the left, counted from 0."""

    level: int
    number: int


class Span(NamedTuple):
    """The leaves from `start` up to, not including, `end`."""

    start: int
    end: int


Lookup = Callable[[Node], bytes]


class ProofInvalid(Exception):
    """The proof does not show what it is said to show."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's data (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows, and keeps no more than its root needs: one hash for each bit of its size."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """`hashes` are those of `nodes_of(Span(0, size))`, to go on from a tree of that size."""
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError("a frontier has one hash for each bit of its size")

    def append(self, hashed: bytes) -> None:
        """Add a leaf, by its hash."""
        rest = self.size
        while rest & 1:
            hashed = node_hash(self.hashes.pop(), hashed)
            rest >>= 1
        self.hashes.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves added."""
        return _joined(self.hashes)


def nodes_of(span: Span) -> list[Node]:
    """The complete subtrees, from the left, that a span of some tree is made of.

    The span must be one that occurs in a tree: it starts at a multiple of the power of two that holds it.
    """
    nodes = []
    start, end = span
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


def hash_of(span: Span, lookup: Lookup) -> bytes:
    """The hash of the subtree over these leaves."""
    return _joined([lookup(node) for node in nodes_of(span)])


def root(size: int, lookup: Lookup) -> bytes:
    """The root of the tree when it had this many leaves."""
    return hash_of(Span(0, size), lookup)


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The subtrees whose hashes prove the leaf at `index` in a tree of `size` (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in a tree of this size")
    spans, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    spans.reverse()
    return spans


def consistency_spans(old: int, new: int) -> list[Span]:
    """The subtrees whose hashes prove that the tree of `old` leaves is the start of that of `new` ones.

    None where nothing has to be proved: an empty tree is the start of any (RFC 9162, 2.1.4.1).
    """
    if not 0 <= old <= new:
        raise ValueError("a tree does not shrink")
    spans: list[Span] = []
    start, end, known = 0, new if old else 0, True
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start, known = middle, False
    if not known:  # else it is the old root, which the verifier has
        spans.append(Span(start, end))
    spans.reverse()
    return spans


def inclusion_proof(index: int, size: int, lookup: Lookup) -> list[bytes]:
    """The audit path of a leaf. `lookup` is asked for complete subtrees only."""
    return [hash_of(span, lookup) for span in inclusion_spans(index, size)]


def consistency_proof(old: int, new: int, lookup: Lookup) -> list[bytes]:
    """The hashes that prove one tree the start of another."""
    return [hash_of(span, lookup) for span in consistency_spans(old, new)]


def verify_inclusion(index: int, size: int, hashed: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises `ProofInvalid` unless the leaf with this hash is at `index` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(hashed) != HASH_BYTES:
        raise ProofInvalid("there is no such leaf in a tree of this size")
    left, last = index, size - 1
    for step in proof:
        left, last, step_is_left = _climbed(left, last)
        hashed = node_hash(step, hashed) if step_is_left else node_hash(hashed, step)
    if last != 0:
        raise ProofInvalid("the proof is too short")
    if hashed != root:
        raise ProofInvalid("the proof leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises `ProofInvalid` unless the tree of `old` leaves is the start of the other (RFC 9162, 2.1.4.2).

    From an empty tree to another one there is no proof: it would say nothing.
    """
    if not 0 < old < new:
        if old != new or proof or old_root != new_root or (new == 0 and new_root != EMPTY_ROOT):
            raise ProofInvalid("the trees are not the same, and neither proves the other")
        return
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    left, last = old - 1, new - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    before = after = steps[0] if steps else b""
    for step in steps[1:]:
        left, last, step_is_left = _climbed(left, last)
        if step_is_left:
            before, after = node_hash(step, before), node_hash(step, after)
        else:
            after = node_hash(after, step)
    if last != 0:
        raise ProofInvalid("the proof is too short")
    if before != old_root or after != new_root:
        raise ProofInvalid("the proof leads to other roots")


def _climbed(left: int, last: int) -> tuple[int, int, bool]:
    """Both indexes a step nearer to the root, and whether the step's hash stands on the left."""
    if last == 0:
        raise ProofInvalid("the proof is too long")
    step_is_left = bool(left & 1) or left == last
    if step_is_left:
        while left and not left & 1:  # a right edge that has no neighbour on these levels
            left, last = left >> 1, last >> 1
    return left >> 1, last >> 1, step_is_left


def _split(count: int) -> int:
    """The largest power of two below `count`: where a subtree divides."""
    return 1 << ((count - 1).bit_length() - 1)


def _joined(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees side by side, the largest first."""
    if not hashes:
        return EMPTY_ROOT
    joined = hashes[-1]
    for hashed in reversed(hashes[:-1]):
        joined = node_hash(hashed, joined)
    return joined
