"""What was sent is kept for a minute at most, and given back only at the versions at which it was sent."""

import asyncio
from uuid import uuid4

import pytest

from infra.http import shelf as module
from infra.http.shelf import Sent, Shelf
from projections.model import Head


def sent(words: bytes = b"{}") -> Sent:
    return Sent(words, (uuid4(),), (uuid4().bytes,), frozenset())


async def test_what_was_sent_is_given_back_at_the_same_versions_only() -> None:
    shelf, head, it = Shelf(), Head(uuid4(), 3, 1), sent()
    shelf.put(head, it)
    assert shelf.get(Head(head.id, 3, 1)) is it
    assert shelf.get(Head(head.id, 4, 1)) is None
    assert shelf.get(Head(head.id, 3, 2)) is None
    assert shelf.get(Head(head.id, 3, None)) is None
    assert shelf.get(Head(uuid4(), 3, 1)) is None


async def test_nothing_is_given_back_after_its_time() -> None:
    moment = [0.0]
    shelf, head = Shelf(60, now=lambda: moment[0]), Head(uuid4(), 1, None)
    shelf.put(head, sent())
    moment[0] = 59.9
    assert shelf.get(head) is not None
    moment[0] = 60.0
    assert shelf.get(head) is None


async def test_it_leaves_memory_also_where_nobody_asks_for_it_again() -> None:
    shelf = Shelf(0.05)
    for _ in range(10):
        shelf.put(Head(uuid4(), 1, None), sent())
    assert len(shelf) == 10
    await asyncio.sleep(0.2)
    assert len(shelf) == 0


async def test_nothing_is_kept_where_keys_are_not() -> None:
    shelf, head = Shelf(0), Head(uuid4(), 1, None)
    shelf.put(head, sent())
    assert shelf.get(head) is None


async def test_what_is_dropped_is_gone_and_its_neighbour_stays() -> None:
    shelf, heads = Shelf(), [Head(uuid4(), 1, None) for _ in range(2)]
    for head in heads:
        shelf.put(head, sent())
    shelf.drop([heads[0].id])
    assert [shelf.get(it) is None for it in heads] == [True, False]


async def test_a_full_shelf_loses_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_RECORDS_MAX", 3)
    shelf, heads = Shelf(), [Head(uuid4(), 1, None) for _ in range(4)]
    for head in heads:
        shelf.put(head, sent())
    assert [shelf.get(it) is None for it in heads] == [True, False, False, False]
