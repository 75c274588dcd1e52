"""Search by name: what it finds, in which order, and whom it forgets."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.values import CustomerKind, LawfulBasis
from infra.search import NameIndex, plain
from services.ports import Unavailable
from tests.projections.worlds import World, at


@pytest.fixture
async def names(log_world: World) -> AsyncIterator[NameIndex]:
    index = NameIndex(log_world.reader, log_world.mapper, log_world.unsealer, log_world.ring)
    with pytest.raises(Unavailable):
        await index.search("ann", kind="customer", limit=10)
    stop = asyncio.Event()
    running = asyncio.create_task(index.run(stop))
    while not index.built:  # noqa: ASYNC110  nobody sends word
        await asyncio.sleep(0.01)
    yield index
    stop.set()
    await running


async def register(
    world: World, name: str | None = None, organisation: str | None = None
) -> tuple[UUID, UUID]:
    id, subject_id = uuid7(), uuid7()
    await world.customers.register(
        id=id,
        subject_id=subject_id,
        context=at(),
        kind=CustomerKind.ORGANISATION if organisation else CustomerKind.PERSON,
        source="web",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="sales",
        **({"organisation": organisation} if organisation else {"name": name}),
    )
    await world.reader.horizon()
    return id, subject_id


async def test_a_part_of_a_name_is_enough_and_the_closest_comes_first(
    log_world: World, names: NameIndex
) -> None:
    long, _ = await register(log_world, "Joanna Strömberg-Hansen")
    inside, _ = await register(log_world, "Mariann Berg")
    exact, _ = await register(log_world, "Anna")
    shop, _ = await register(log_world, organisation="Savannah Foods")
    await register(log_world, "Bob")

    async def search(text: str, limit: int = 10) -> list[UUID]:
        return await names.search(text, kind="customer", limit=limit)

    assert await search("anna") == [exact, shop, long]
    assert await search("ANN", limit=2) == [exact, inside]
    assert await search("strom") == [long]
    assert await search("berg mar") == [inside]
    assert await search("an") == [exact, inside, shop, long]
    assert await search('be "rg') == []
    assert await search("  ") == []
    assert await search("a% \x00_ann") == []
    assert await names.search("anna", kind="lead", limit=10) == []


async def test_a_new_name_replaces_the_old_one(log_world: World, names: NameIndex) -> None:
    id, _ = await register(log_world, "Anna Smith")
    await log_world.customers.rename(id=id, name="Anna Jones", context=at(1))
    await log_world.reader.horizon()

    assert await names.search("smith", kind="customer", limit=9) == []
    assert await names.search("jones", kind="customer", limit=9) == [id]


async def test_contacts_leads_and_members_are_found_each_under_their_kind(
    log_world: World, names: NameIndex
) -> None:
    shop, _ = await register(log_world, organisation="Acme")
    contact = uuid7()
    await log_world.customers.add_contact(id=shop, contact_id=contact, name="Kim Novak", context=at())
    lead, member = uuid7(), uuid7()
    await log_world.leads.capture(
        id=lead, subject_id=uuid7(), source="fair", name="Kim Lead", organisation="Novak Ltd", context=at()
    )
    await log_world.members.register(id=member, subject_id=uuid7(), name="Kim Novak", context=at())
    await log_world.reader.horizon()

    for kind, id in (("customer", shop), ("lead", lead), ("member", member)):
        assert await names.search("novak", kind=kind, limit=9) == [id]
    await log_world.customers.remove_contact(id=shop, contact_id=contact, context=at())
    await log_world.reader.horizon()
    assert await names.search("novak", kind="customer", limit=9) == []


async def test_whoever_is_erased_is_not_found_from_the_fence_on_and_leaves_the_index(
    log_world: World, names: NameIndex
) -> None:
    id, subject_id = await register(log_world, "Anna Smith")
    other, _ = await register(log_world, "Anna Smithers")
    assert await names.search("smith", kind="customer", limit=1) == [id]

    await log_world.ring.shred(subject_id)
    assert await names.search("smith", kind="customer", limit=1) == [other]

    await log_world.erase(subject_id)
    await log_world.reader.horizon()
    assert await names.search("smith", kind="customer", limit=9) == [other]
    assert names.size == 1


def test_plain_text_has_no_capitals_accents_or_control_characters() -> None:
    assert plain("  Ångström\tSTRASSE\x00ß ﬁn ") == "angstrom strasse ss fin"
