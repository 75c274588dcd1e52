"""What was sent is kept for a minute at most, and given back only at the versions at which it was sent."""

import asyncio
from uuid import uuid4

import pytest

from infra.http import shelf as module
from infra.http.shelf import Name, Sent, Shelf
from projections.model import Head, head_of


def given(shelf: Shelf, head: Head) -> Sent | None:
    [kept] = shelf.get([head])
    return None if kept is None else kept.it


def sent(words: bytes = b"{}") -> Sent:
    return Sent(words, (uuid4(),), (uuid4().bytes,), frozenset())


async def test_what_was_sent_is_given_back_at_the_same_versions_only() -> None:
    shelf, id, it = Shelf(), uuid4(), sent()
    shelf.put(head_of(id, 3, 1), it, 17)
    assert given(shelf, head_of(id, 3, 1)) is it
    assert given(shelf, head_of(id, 4, 1)) is None
    assert given(shelf, head_of(id, 3, 2)) is None
    assert given(shelf, head_of(id, 3)) is None
    assert given(shelf, head_of(uuid4(), 3, 1)) is None


async def test_nothing_is_given_back_after_its_time() -> None:
    moment = [0.0]
    shelf, head = Shelf(60, now=lambda: moment[0]), head_of(uuid4(), 1)
    shelf.put(head, sent(), None)
    moment[0] = 59.9
    assert given(shelf, head) is not None
    moment[0] = 60.0
    assert given(shelf, head) is None


async def test_it_leaves_memory_also_where_nobody_asks_for_it_again() -> None:
    shelf = Shelf(0.05)
    for _ in range(10):
        shelf.put(head_of(uuid4(), 1), sent(), None)
        shelf.put_name(head_of(uuid4(), 1), Name(uuid4(), "Ann"))
    assert len(shelf) == 20
    await asyncio.sleep(0.2)
    assert len(shelf) == 0


async def test_nothing_is_kept_where_keys_are_not() -> None:
    shelf, head = Shelf(0), head_of(uuid4(), 1)
    shelf.put(head, sent(), None)
    assert given(shelf, head) is None


async def test_what_is_dropped_is_gone_and_its_neighbour_stays() -> None:
    shelf, heads = Shelf(), [head_of(uuid4(), 1) for _ in range(2)]
    for head in heads:
        shelf.put(head, sent(), None)
    shelf.drop(heads[0])
    assert [given(shelf, it) is None for it in heads] == [True, False]


async def test_a_full_shelf_loses_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_RECORDS_MAX", 3)
    shelf, heads = Shelf(), [head_of(uuid4(), 1) for _ in range(4)]
    for head in heads:
        shelf.put(head, sent(), None)
    assert [given(shelf, it) is None for it in heads] == [True, False, False, False]
