"""Boxes opened for readers: once each, and four answers that are never confused."""

from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from domain.model import Category, Erased, Sealed
from infra.eventstore.sealing import Place, seal
from infra.eventstore.unsealer import BoxUnsealer
from infra.memory.keyring import MemoryKeyRing
from services.ports import DataKey, KeyLost, Tampered

NAMESPACE = "main"


async def sealed(
    ring: MemoryKeyRing,
    subject_id: UUID,
    category: Category = Category.IDENTITY,
    namespace: str = NAMESPACE,
    **fields: str,
) -> dict[str, Sealed]:
    """Handles of the fields, sealed as the log seals them."""
    name = (subject_id, category)
    key = (await ring.provide([name], within=None))[name]
    assert isinstance(key, DataKey)
    place: dict[str, Any] = {
        "originator_id": uuid4(), "originator_version": 1, "topic": "customer.registered",
        "event_id": uuid4(), "subject_id": subject_id, "category": category,
    }  # fmt: skip
    box = seal(fields, key, Place(namespace=namespace, **place))
    return {it: Sealed(fingerprint=key.fingerprint, box=box, field=it, **place) for it in fields}


@pytest.fixture
def ring() -> MemoryKeyRing:
    return MemoryKeyRing()


@pytest.fixture
def unsealer(ring: MemoryKeyRing) -> BoxUnsealer:
    return BoxUnsealer(ring, NAMESPACE)


async def test_the_values_of_several_people_are_opened_together(
    ring: MemoryKeyRing, unsealer: BoxUnsealer
) -> None:
    ann = await sealed(ring, uuid4(), name="Ann", born_on="1970-01-01")
    bob = await sealed(ring, uuid4(), Category.CONTACT, email="bob@example.com")
    handles = [*ann.values(), *bob.values()]
    assert await unsealer.open(handles) == {
        ann["name"]: "Ann",
        ann["born_on"]: "1970-01-01",
        bob["email"]: "bob@example.com",
    }
    assert await unsealer.open([]) == {}


async def test_an_erased_person_stands_there_as_erased_beside_the_others(
    ring: MemoryKeyRing, unsealer: BoxUnsealer
) -> None:
    gone = await sealed(ring, uuid4(), name="Ann")
    here = await sealed(ring, uuid4(), name="Bob")
    await ring.shred(gone["name"].subject_id)
    assert await unsealer.open([gone["name"], here["name"]]) == {
        gone["name"]: Erased(Category.IDENTITY),
        here["name"]: "Bob",
    }


async def test_a_key_that_the_store_does_not_have_is_lost_not_erased(ring: MemoryKeyRing) -> None:
    handles = await sealed(ring, uuid4(), name="Ann")
    with pytest.raises(KeyLost):
        await BoxUnsealer(MemoryKeyRing(), NAMESPACE).open([handles["name"]])


async def test_another_key_of_the_same_name_is_no_answer(ring: MemoryKeyRing) -> None:
    subject = uuid4()
    handles = await sealed(ring, subject, name="Ann")
    other = MemoryKeyRing()
    await sealed(other, subject, name="Ann")
    with pytest.raises(KeyLost):
        await BoxUnsealer(other, NAMESPACE).open([handles["name"]])


@pytest.mark.parametrize(
    "change",
    [
        {"originator_id": UUID(int=1)},
        {"originator_version": 2},
        {"topic": "customer.renamed"},
        {"event_id": UUID(int=1)},
        {"field": "email"},
    ],
)
async def test_a_box_moved_elsewhere_is_tampered_even_beside_itself(
    ring: MemoryKeyRing, unsealer: BoxUnsealer, change: dict[str, Any]
) -> None:
    [handle] = (await sealed(ring, uuid4(), name="Ann")).values()
    with pytest.raises(Tampered):
        await unsealer.open([handle, replace(handle, **change)])


async def test_a_box_under_the_name_of_another_key_is_never_answered(
    ring: MemoryKeyRing, unsealer: BoxUnsealer
) -> None:
    [ann] = (await sealed(ring, uuid4(), name="Ann")).values()
    [bob] = (await sealed(ring, uuid4(), name="Bob")).values()
    with pytest.raises(KeyLost):
        await unsealer.open([replace(ann, subject_id=bob.subject_id)])
    with pytest.raises(Tampered):
        await unsealer.open([replace(ann, subject_id=bob.subject_id, fingerprint=bob.fingerprint)])


async def test_a_box_of_another_namespace_is_tampered(ring: MemoryKeyRing, unsealer: BoxUnsealer) -> None:
    [handle] = (await sealed(ring, uuid4(), namespace="other", name="Ann")).values()
    with pytest.raises(Tampered):
        await unsealer.open([handle])


async def test_a_page_of_fifty_people_opens_in_a_few_milliseconds(
    ring: MemoryKeyRing, unsealer: BoxUnsealer
) -> None:
    handles: list[Sealed] = []
    for _ in range(50):
        subject = uuid4()
        handles += (await sealed(ring, subject, name="Ann", born_on="1970-01-01")).values()
        handles += (
            await sealed(ring, subject, Category.CONTACT, email="a@b.c", phone="+1", address="x")
        ).values()
    times = []
    for _ in range(9):
        started = perf_counter()
        opened = await unsealer.open(handles)
        times.append(perf_counter() - started)
    assert len(opened) == 250
    print(f"250 values in 100 boxes of 50 people: {sorted(times)[4] * 1000:.2f} ms")
    assert sorted(times)[4] < 0.05  # ten times what it takes, for slow machines
