"""Tiles against the plain tree: however it grew, the same hashes are found at the same places."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Span,
    consistency_spans,
    hash_of,
    inclusion_spans,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from infra.audit.tiles import Edge, TileId, Tiles, edge_of, hashes_of, packed, tiles_of, unpacked

SIZE_MAX = 70_000  # more than 256 x 256: three levels of tiles
LEAVES = [leaf_hash(b"%d" % it) for it in range(SIZE_MAX)]


def grown(steps: Sequence[int]) -> tuple[Edge, dict[TileId, bytes]]:
    edge, tiles = Edge(), dict[TileId, bytes]()
    for step in steps:
        tiles |= edge.extend(LEAVES[edge.size : edge.size + step])
    return edge, tiles


def plain_root(size: int) -> bytes:
    tree = Frontier()
    for it in LEAVES[:size]:
        tree.append(it)
    return tree.root()


@given(st.lists(st.sampled_from([1, 2, 7, 255, 256, 257, 1000, 5000]), max_size=12))
def test_a_tree_has_the_same_tiles_and_root_however_it_grew(steps: list[int]) -> None:
    edge, tiles = grown(steps)
    at_once = grown([sum(steps)])
    assert tiles == at_once[1]
    assert edge.root() == at_once[0].root() == plain_root(sum(steps))
    again = Edge(edge.size, {it: tiles[it] for it in edge_of(edge.size)})
    assert again.root() == edge.root()


@settings(deadline=None)
@given(st.integers(1, SIZE_MAX), st.data())
def test_proofs_for_any_past_size_come_out_of_the_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    path, extension = inclusion_spans(index, size), consistency_spans(old, size)
    wanted = {it: WHOLE[it] for it in tiles_of([*path, *extension, Span(0, old), Span(0, size)])}
    assert len(wanted) <= 10
    before, after = hashes_of([Span(0, old), Span(0, size)], wanted)
    verify_inclusion(index, size, LEAVES[index], hashes_of(path, wanted), after)
    verify_consistency(old, size, before, after, hashes_of(extension, wanted))


WHOLE = grown([SIZE_MAX])[1]


def test_the_tiles_are_those_of_the_published_layout() -> None:
    assert {level: sum(it.level == level for it in WHOLE) for level in range(4)} == {0: 274, 1: 2, 2: 1, 3: 0}
    assert WHOLE[TileId(0, 273)] == b"".join(LEAVES[273 * 256 :])
    assert len(WHOLE[TileId(1, 1)]) == 32 * (70_000 // 256 - 256)
    assert WHOLE[TileId(2, 0)] == hash_of(Span(0, 256 * 256), Tiles(WHOLE))


def test_a_tile_that_lacks_hashes_is_not_taken_for_a_whole_one() -> None:
    _, tiles = grown([300])
    short = tiles | {TileId(0, 1): tiles[TileId(0, 1)][:-32]}
    with pytest.raises(KeyError):
        hashes_of([Span(0, 300)], short)
    with pytest.raises(ValueError, match="right edge"):
        Edge(300, {it: short[it] for it in edge_of(300)})
    assert Edge().root() == EMPTY_ROOT


@given(st.lists(st.integers(0, 2**63 - 1), max_size=256))
def test_positions_come_back_as_they_were_packed(positions: list[int]) -> None:
    assert unpacked(packed(positions)) == positions
