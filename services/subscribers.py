"""Subscribers: programs that follow the events, what they may open, and the tokens they come with."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Protocol, Unpack
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.model import Category
from domain.subscriber.aggregate import Subscriber, SubscriberHasEnded
from domain.subscriber.events import SubscriberEnded, SubscriberRegistered
from services.application import Application, Target, replay
from services.lasting import begin_or_change
from services.ports import CommandContext, Outcome, Recorded, RecordNotFound, Refused

NAME_SPACE: Final = "urn:lethe:subscriber:"


class NotASubscriber(Refused):
    """The token belongs to no registered subscriber, or to one that has ended."""


class SubscriberTokens(Protocol):
    """Hands out tokens that act as a subscriber, and ends them."""

    async def mint(self, subscriber_id: UUID, *, name: str, expires_at: datetime | None) -> tuple[UUID, str]:
        """A new token's id, and the token, which nobody can be told again."""
        ...

    async def end(self, subscriber_id: UUID) -> None:
        """End all of the subscriber's tokens. May be repeated."""
        ...


def subscriber_of(name: str) -> UUID:
    """The id of the subscriber of this name, whether there is one or not."""
    return uuid5(NAMESPACE_URL, NAME_SPACE + name)


class Subscribers:
    """Commands to subscribers. As a reaction it ends the tokens that a crash left to one that ended."""

    causes = frozenset({SubscriberEnded.TOPIC})

    def __init__(self, application: Application, *, tokens: SubscriberTokens) -> None:
        self._application = application
        self._tokens = tokens

    async def register(self, *, name: str, purpose: str, context: CommandContext) -> Outcome:
        """Raises `SubscriberAlreadyRegistered`, or `SubscriberHasEnded`: a name is given once."""
        id = subscriber_of(name)
        return await begin_or_change(
            self._application,
            Subscriber,
            id,
            begin=lambda: Subscriber.register_first(id=id, name=name, purpose=purpose),
            change=Subscriber.register,
            context=context,
        )

    async def grant(
        self, *, categories: Collection[Category], purpose: str | None = None, **to: Unpack[Target]
    ) -> Outcome:
        """For this purpose, or for the subscriber's own. Raises `SubscriberHasEnded`."""
        return await self._application.change(
            Subscriber, decide=lambda it: it.grant(categories=categories, purpose=purpose), **to
        )

    async def revoke(self, *, categories: Collection[Category] = (), **to: Unpack[Target]) -> Outcome:
        """Counts from the next use on. Everything, where no category is named."""
        return await self._application.change(
            Subscriber, decide=lambda it: it.revoke(categories=categories), **to
        )

    async def end(self, **to: Unpack[Target]) -> Outcome:
        """Its grants are void, and then its tokens are ended."""
        outcome = await self._application.change(Subscriber, decide=Subscriber.end, **to)
        await self._tokens.end(outcome.id)
        return outcome

    async def mint(self, id: UUID, *, expires_at: datetime | None = None) -> tuple[UUID, str]:
        """A token for the subscriber: its id, and itself. Raises `RecordNotFound` or `SubscriberHasEnded`."""
        name = (await self._standing(id)).name
        minted = await self._tokens.mint(id, name=name, expires_at=expires_at)
        # Asked again once it is stored: either this sees the end, or the end sees the token.
        if (await self._standing(id, ended=True)).ended:
            await self._tokens.end(id)
            raise SubscriberHasEnded(id)
        return minted

    async def living(self, id: UUID) -> Subscriber:
        """The subscriber as the log has it now. Raises `NotASubscriber`."""
        try:
            return await self._standing(id)
        except (RecordNotFound, SubscriberHasEnded):
            raise NotASubscriber(id) from None

    async def name_of(self, id: UUID) -> str | None:
        """The subscriber's name, also if it has ended; None for an id that is no subscriber's."""
        events = (await self._application.store.load(id)).events
        return events[0].name if events and isinstance(events[0], SubscriberRegistered) else None

    async def on(self, recorded: Recorded) -> None:
        """See `causes`."""
        await self._tokens.end(recorded.originator_id)

    async def _standing(self, id: UUID, *, ended: bool = False) -> Subscriber:
        """Raises `SubscriberHasEnded` unless one that `ended` will do, too."""
        subscriber = replay(Subscriber, id, (await self._application.store.load(id)).events)
        if subscriber.ended and not ended:
            raise SubscriberHasEnded(id)
        return subscriber
