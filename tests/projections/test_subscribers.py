"""The view of subscribers, from commands to what it answers, in memory and in PostgreSQL."""

from datetime import timedelta
from typing import Any

from uuid_utils.compat import uuid7

from domain.erasure.aggregate import Erasure
from domain.model import Category
from domain.values import ErasureGround
from infra.memory.tokens import MemoryTokenStore
from infra.subscribertokens import ScopedSubscriberTokens
from projections.subscribers import SubscriberFilter, SubscriberRow
from services.subscribers import Subscribers, subscriber_of
from tests.projections.worlds import START, TestClock, World, at

IDENTITY, CONTACT, TALK = Category.IDENTITY, Category.CONTACT, Category.CONVERSATION
GROUND = ErasureGround.OBJECTION


def subscribers(world: World) -> Subscribers:
    return Subscribers(world.application, tokens=ScopedSubscriberTokens(MemoryTokenStore(TestClock())))


async def shown(world: World, name: str) -> SubscriberRow:
    await world.settle()
    row = await world.views.subscribers.subscriber(subscriber_of(name))
    assert row is not None
    return row


def grant(category: Category, purpose: str, hours: int) -> dict[str, Any]:
    moment = (START + timedelta(hours=hours)).isoformat()
    return {"category": str(category), "purpose": purpose, "granted_at": moment}


async def test_a_subscriber_is_shown_with_what_it_may_open_since_when_and_what_for(log_world: World) -> None:
    them = subscribers(log_world)
    for name in ("mirror", "neighbour"):
        await them.register(name=name, purpose="support", context=at())
    id = subscriber_of("mirror")
    await them.grant(id=id, categories=[TALK, IDENTITY], context=at(1))
    await them.grant(id=id, categories=[CONTACT, TALK], purpose="post", context=at(2))
    row = await shown(log_world, "mirror")
    assert (row.name, row.purpose, row.registered_at, row.version) == ("mirror", "support", START, 3)
    assert row.grants == [
        grant(IDENTITY, "support", 1),
        grant(CONTACT, "post", 2),
        grant(TALK, "post", 2),
    ]
    await them.revoke(id=id, categories=[CONTACT], context=at(3))
    assert [it["category"] for it in (await shown(log_world, "mirror")).grants] == [
        "identity",
        "conversation",
    ]
    await them.end(id=id, context=at(4))
    row = await shown(log_world, "mirror")
    assert (row.grants, row.ended_at) == ([], START + timedelta(hours=4))
    neighbour = await shown(log_world, "neighbour")
    assert (neighbour.grants, neighbour.ended_at, neighbour.version) == ([], None, 1)


async def test_subscribers_are_listed_in_order_of_id_and_by_what_is_asked(log_world: World) -> None:
    them = subscribers(log_world)
    for name in ("a", "b", "c"):
        await them.register(name=name, purpose="support", context=at())
    await them.end(id=subscriber_of("b"), context=at())
    await log_world.settle()
    view = log_world.views.subscribers
    everyone = await view.list_subscribers(SubscriberFilter(), limit=10)
    assert [it.id for it in everyone] == sorted(map(subscriber_of, "abc"))
    after = await view.list_subscribers(SubscriberFilter(), limit=1, after=everyone[0].id)
    assert after == everyone[1:2]
    assert {it.name for it in await view.list_subscribers(SubscriberFilter(living=True), limit=9)} == {
        "a",
        "c",
    }
    assert [it.name for it in await view.list_subscribers(SubscriberFilter(name="b"), limit=9)] == ["b"]
    stranger = uuid7()
    assert await view.names([subscriber_of("a"), stranger]) == {subscriber_of("a"): "a"}


async def test_what_a_subscriber_has_to_acknowledge_are_erasures_since_it_was_registered(
    log_world: World,
) -> None:
    async def erased(hours: int) -> Any:
        id = uuid7()
        await log_world.application.create(
            lambda: Erasure.request(id=id, erased_subject_id=uuid7(), ground=GROUND), context=at()
        )
        await log_world.application.change(
            Erasure, id, lambda it: it.complete(fingerprints=()), context=at(hours)
        )
        return id

    await erased(0)
    await subscribers(log_world).register(name="mirror", purpose="support", context=at(1))
    later, first, acknowledged = await erased(4), await erased(2), await erased(3)
    await log_world.application.change(
        Erasure, acknowledged, lambda it: it.acknowledge(subscriber="mirror"), context=at(5)
    )
    row = await shown(log_world, "mirror")
    view = log_world.views.subscribers
    assert await view.unacknowledged(row, limit=9) == [first, later]
    assert await view.unacknowledged(row, limit=1) == [first]
