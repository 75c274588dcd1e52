"""The tokens of subscribers: a subscriber that ended has none, whatever came between."""

from datetime import datetime
from uuid import UUID

import pytest

from domain.subscriber.aggregate import SubscriberHasEnded
from infra.access import Scope
from infra.memory.tokens import MemoryTokenStore
from infra.subscribertokens import ScopedSubscriberTokens
from services.application import Application
from services.ports import RecordNotFound
from services.subscribers import NotASubscriber, Subscribers, subscriber_of
from tests.eventlogs import SteppingClock, context, memory_log

MIRROR = subscriber_of("mirror")


class World:
    """A subscriber `mirror`, its tokens, and another's."""

    def __init__(self) -> None:
        self.log = memory_log()
        self.tokens = MemoryTokenStore(SteppingClock())
        self.application = Application(self.log.store, SteppingClock())
        self.subscribers = Subscribers(self.application, tokens=ScopedSubscriberTokens(self.tokens))

    async def registered(self) -> "World":
        for name in ("mirror", "other"):
            await self.subscribers.register(name=name, purpose="support", context=context())
        await self.subscribers.mint(subscriber_of("other"))
        return self

    async def living(self) -> set[UUID]:
        """Whose tokens stand."""
        return {it.actor_id for it in await self.tokens.all() if it.revoked_at is None}


async def test_a_token_acts_as_its_subscriber_and_may_only_subscribe() -> None:
    world = await World().registered()
    id, _ = await world.subscribers.mint(MIRROR)
    [token] = [it for it in await world.tokens.all() if it.id == id]
    assert (token.actor_id, token.name, token.scopes) == (MIRROR, "mirror", frozenset({Scope.SUBSCRIBE}))


async def test_no_token_is_made_for_who_is_no_subscriber_or_has_ended() -> None:
    world = await World().registered()
    with pytest.raises(RecordNotFound):
        await world.subscribers.mint(subscriber_of("nobody"))
    await world.subscribers.end(id=MIRROR, context=context())
    with pytest.raises(SubscriberHasEnded):
        await world.subscribers.mint(MIRROR)
    with pytest.raises(NotASubscriber):
        await world.subscribers.living(MIRROR)


async def test_the_end_of_a_subscriber_ends_its_tokens_and_nobody_elses() -> None:
    world = await World().registered()
    for _ in range(2):
        await world.subscribers.mint(MIRROR)
    await world.subscribers.end(id=MIRROR, context=context())
    assert await world.living() == {subscriber_of("other")}


async def test_a_token_that_was_made_while_its_subscriber_ended_is_ended_too() -> None:
    world = await World().registered()

    class Slow(ScopedSubscriberTokens):
        async def mint(
            self, subscriber_id: UUID, *, name: str, expires_at: datetime | None
        ) -> tuple[UUID, str]:
            await world.subscribers.end(id=MIRROR, context=context())
            return await super().mint(subscriber_id, name=name, expires_at=expires_at)

    with pytest.raises(SubscriberHasEnded):
        await Subscribers(world.application, tokens=Slow(world.tokens)).mint(MIRROR)
    assert await world.living() == {subscriber_of("other")}


async def test_tokens_that_a_crash_left_are_ended_by_whoever_follows_the_log() -> None:
    world = await World().registered()
    await world.subscribers.mint(MIRROR)

    class Killed(ScopedSubscriberTokens):
        async def end(self, subscriber_id: UUID) -> None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await Subscribers(world.application, tokens=Killed(world.tokens)).end(id=MIRROR, context=context())
    assert MIRROR in await world.living()
    last = (await world.log.reader.read(0, 100))[-1]
    assert last.topic in world.subscribers.causes
    await world.subscribers.on(world.log.mapper.to_domain_event(last))
    assert await world.living() == {subscriber_of("other")}
