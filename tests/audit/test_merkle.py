"""Hashing and proofs, against the values published with Certificate Transparency and a naive recursion.

Sources: RFC 6962 and its reference implementation (certificate-transparency, Apache 2.0), whose eight leaves,
roots and paths most other implementations repeat.
"""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Node,
    ProofInvalid,
    Span,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    nodes_of,
    root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [
    bytes.fromhex(it)
    for it in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAF_2 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
PAIR_3_4 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
FOUR_5_8 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_5 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
PAIR_7_8 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
PAIR_5_6 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
PATHS = [
    (0, 1, []),
    (0, 8, [LEAF_2, PAIR_3_4, FOUR_5_8]),
    (5, 8, [LEAF_5, PAIR_7_8, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [ROOTS[1], PAIR_3_4, LEAF_5]),
]
EXTENSIONS = [
    (1, 1, []),
    (1, 8, [LEAF_2, PAIR_3_4, FOUR_5_8]),
    (6, 8, [PAIR_5_6, PAIR_7_8, ROOTS[4]]),
    (2, 5, [PAIR_3_4, LEAF_5]),
]
SIZES = st.integers(1, 300)


def naive_root(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962's definition, word for word."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


def hashes_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % it) for it in range(size)]


class Asked:
    """Hashes by place, over these leaves; complete subtrees only."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves

    def __call__(self, node: Node) -> bytes:
        start, end = node.number << node.level, (node.number + 1) << node.level
        assert end <= len(self.leaves), "asked for a subtree that is not complete"
        return naive_root(self.leaves[start:end])


PUBLISHED = Asked([leaf_hash(it) for it in LEAVES])


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_the_published_ones(size: int) -> None:
    tree = Frontier()
    for leaf in LEAVES[:size]:
        tree.append(leaf_hash(leaf))
    assert tree.root().hex() == root(size, PUBLISHED).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), PATHS)
def test_the_audit_paths_are_the_published_ones(index: int, size: int, path: list[str]) -> None:
    proof = inclusion_proof(index, size, PUBLISHED)
    assert [it.hex() for it in proof] == path
    verify_inclusion(index, size, leaf_hash(LEAVES[index]), proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "path"), EXTENSIONS)
def test_the_consistency_proofs_are_the_published_ones(old: int, new: int, path: list[str]) -> None:
    proof = consistency_proof(old, new, PUBLISHED)
    assert [it.hex() for it in proof] == path
    verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), proof)


@given(SIZES)
def test_a_tree_that_grows_leaf_by_leaf_has_the_defined_root(size: int) -> None:
    hashes, tree = hashes_of(size), Frontier()
    for hashed in hashes:
        tree.append(hashed)
    again = Frontier(size, [Asked(hashes)(it) for it in nodes_of(Span(0, size))])
    assert tree.root() == again.root() == naive_root(hashes)
    assert tree.hashes == again.hashes


@given(SIZES, st.data())
def test_every_leaf_can_be_proved_at_its_place_and_nowhere_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = hashes_of(size)
    proof, whole = inclusion_proof(index, size, Asked(hashes)), naive_root(hashes)
    verify_inclusion(index, size, hashes[index], proof, whole)
    other = data.draw(st.integers(0, size).filter(lambda it: it != index))
    with pytest.raises(ProofInvalid):
        verify_inclusion(other, size, hashes[index], proof, whole)
    with pytest.raises(ProofInvalid):
        verify_inclusion(index, size, leaf_hash(b"another"), proof, whole)


@given(SIZES, st.data())
def test_any_earlier_tree_can_be_proved_the_start_of_a_later_one(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    hashes = hashes_of(new)
    before, after = naive_root(hashes[:old]), naive_root(hashes)
    proof = consistency_proof(old, new, Asked(hashes))
    verify_consistency(old, new, before, after, proof)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, new, leaf_hash(b"another"), after, proof)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, new, before, leaf_hash(b"another"), proof)


@given(st.integers(2, 300), st.data())
def test_a_proof_that_is_bent_shows_nothing(size: int, data: st.DataObject) -> None:
    hashes = hashes_of(size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    path, extension = inclusion_proof(index, size, Asked(hashes)), consistency_proof(old, size, Asked(hashes))
    before, whole = naive_root(hashes[:old]), naive_root(hashes)
    with pytest.raises(ProofInvalid):
        verify_inclusion(index, size, hashes[index], bent(path, data), whole)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, size, before, whole, bent(extension, data))


def bent(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    """The proof with a bit flipped, a hash missing, or one too many."""
    how = data.draw(st.sampled_from(["flip", "shorten", "lengthen"]))
    at = data.draw(st.integers(0, len(proof) - 1))
    if how == "shorten":
        return proof[:at] + proof[at + 1 :]
    if how == "lengthen":
        return [*proof[:at], leaf_hash(b"more"), *proof[at:]]
    bit = data.draw(st.integers(0, 255))
    flipped = bytearray(proof[at])
    flipped[bit // 8] ^= 1 << bit % 8
    return [*proof[:at], bytes(flipped), *proof[at + 1 :]]


def test_an_empty_tree_proves_nothing_but_itself() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    meaningless = [(0, 0, b"x", []), (0, 1, EMPTY_ROOT, []), (0, 0, EMPTY_ROOT, [EMPTY_ROOT])]
    for old, new, after, proof in meaningless:
        with pytest.raises(ProofInvalid):
            verify_consistency(old, new, after, after, proof)
    assert consistency_proof(0, 5, PUBLISHED) == []


def test_a_tree_that_shrinks_is_refused() -> None:
    with pytest.raises(ProofInvalid):
        verify_consistency(2, 1, bytes.fromhex(ROOTS[2]), bytes.fromhex(ROOTS[1]), [])
    with pytest.raises(ValueError, match="shrink"):
        consistency_proof(2, 1, PUBLISHED)
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(8, 8, PUBLISHED)
