"""What happens to a subscriber: a program that follows the events, and what it may open of them."""

from typing import ClassVar
from uuid import UUID

from domain.model import Category, Created, Event, Public


class SubscriberEvent(Event):
    """Nothing personal: a reason is sealed under the subscriber's own key."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class SubscriberRegistered(SubscriberEvent, Created):
    """A program follows the events, under a name for good and for this purpose. It opens nothing yet."""

    TOPIC: ClassVar[str] = "subscriber.registered"
    name: Public[str]
    purpose: Public[str]


class SubscriberGranted(SubscriberEvent):
    """It may open these categories for this purpose, from now on and also in events that were before.

    For a category that it was granted before, the purpose is another one from now on.
    """

    TOPIC: ClassVar[str] = "subscriber.granted"
    categories: Public[tuple[Category, ...]]
    purpose: Public[str]


class SubscriberRevoked(SubscriberEvent):
    """It may open these categories no more."""

    TOPIC: ClassVar[str] = "subscriber.revoked"
    categories: Public[tuple[Category, ...]]


class SubscriberEnded(SubscriberEvent):
    """It follows no more: its grants are void and its tokens end. What it copied before is with it."""

    TOPIC: ClassVar[str] = "subscriber.ended"
