"""The heads of a list are those of its rows: the same records in the same order, and how far they are."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from domain.values import CustomerKind, LawfulBasis
from projections.directory import CustomerFilter
from projections.model import Head, Headed, head_of, id_of
from projections.pipeline import LeadFilter
from tests.projections.worlds import World, at


def heads_of(rows: Sequence[Headed[Any]]) -> list[Head]:
    assert [(id_of(it.head)) for it in rows] == [it.row.id for it in rows]
    return [it.head for it in rows]


async def customer(world: World) -> UUID:
    id = uuid7()
    await world.customers.register(
        id=id,
        subject_id=uuid7(),
        kind=CustomerKind.PERSON,
        source="fair",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="orders",
        name="Ann",
        context=at(),
    )
    return id


async def member(world: World) -> UUID:
    id = uuid7()
    await world.members.register(id=id, subject_id=uuid7(), name="Sam", team="east", context=at())
    return id


async def test_customers_heads_name_their_versions_and_their_owners(world: World) -> None:
    ids, owner = [await customer(world) for _ in range(4)], await member(world)
    await world.customers.assign(id=ids[1], owner_id=owner, context=at(1))
    await world.customers.archive(id=ids[2], context=at(1))
    await world.customers.assign(id=ids[3], owner_id=uuid7(), context=at(1))
    await world.members.move(id=owner, team="west", office="York", manager_id=None, context=at(2))
    await world.settle()
    directory = world.views.directory
    heads = [head_of(ids[0], 1), head_of(ids[1], 2, 2), head_of(ids[2], 2), head_of(ids[3], 2)]

    assert (await directory.customer_heads(CustomerFilter(), limit=9)).heads == heads
    assert (await directory.customer_heads(CustomerFilter(), limit=2, after=ids[0])).heads == heads[1:3]
    assert (await directory.customer_heads(CustomerFilter(owner_id=owner), limit=9)).heads == [heads[1]]
    assert (await directory.customer_heads(CustomerFilter(archived=True), limit=9)).heads == [heads[2]]
    assert heads_of(await directory.headed_customers([ids[1], owner, ids[0]])) == [heads[1], heads[0]]
    assert await directory.headed_customers([]) == []


async def test_leads_heads_name_their_versions_and_their_owners(world: World) -> None:
    owner, ids = await member(world), [uuid7(), uuid7()]
    for id in ids:
        await world.leads.capture(id=id, subject_id=uuid7(), source="fair", context=at())
    await world.leads.assign(id=ids[1], owner_id=owner, context=at(1))
    await world.settle()
    pipeline = world.views.pipeline
    heads = [head_of(ids[0], 1), head_of(ids[1], 2, 1)]

    assert (await pipeline.lead_heads(LeadFilter(), limit=9)).heads == heads
    assert (await pipeline.lead_heads(LeadFilter(owner_id=owner), limit=9)).heads == [heads[1]]
    assert heads_of(await pipeline.headed_leads([ids[1], owner, ids[0]])) == [heads[1], heads[0]]
