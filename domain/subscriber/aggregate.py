"""What may happen to a subscriber."""

import re
from collections.abc import Collection, Mapping
from typing import Final, Self
from uuid import UUID

from domain.model import Aggregate, Category, DomainError, Event
from domain.subscriber.events import (
    SubscriberEnded,
    SubscriberGranted,
    SubscriberRegistered,
    SubscriberRevoked,
)

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
PURPOSE: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


class SubscriberNameIsNoCode(DomainError):
    """A subscriber's name is a code: small letters, digits and hyphens, 40 at most."""


class PurposeIsNoCode(DomainError):
    """A purpose is a code: a small letter, then small letters, digits and hyphens, 40 in all at most."""


class SubscriberAlreadyRegistered(DomainError):
    """There is a subscriber of this name."""


class SubscriberHasEnded(DomainError):
    """The subscriber has ended. Its name is never given again: it stands on certificates."""


class Subscriber(Aggregate):
    """A program that follows the events: what it may open, by category, and for which purpose."""

    TOPIC = "subscriber"

    @classmethod
    def register_first(cls, *, id: UUID, name: str, purpose: str) -> Self:
        if NAME.fullmatch(name) is None:
            raise SubscriberNameIsNoCode(id)
        _check_purpose(id, purpose)
        return cls._create(SubscriberRegistered, id=id, name=name, purpose=purpose)

    def register(self) -> None:
        """Refused: whose name it is, it stays."""
        raise SubscriberHasEnded(self.id) if self.ended else SubscriberAlreadyRegistered(self.id)

    def grant(self, *, categories: Collection[Category], purpose: str | None = None) -> None:
        """Let it open these for the purpose; for its own, where none is named."""
        self._check_living()
        purpose = purpose or self.purpose
        _check_purpose(self.id, purpose)
        new = tuple(it for it in Category if it in categories and self.grants.get(it) != purpose)
        if new:
            self.trigger_event(SubscriberGranted, categories=new, purpose=purpose)

    def revoke(self, *, categories: Collection[Category] = ()) -> None:
        """Take back these categories; all of them, where none is named."""
        gone = tuple(it for it in Category if it in self.grants and (not categories or it in categories))
        if gone:
            self.trigger_event(SubscriberRevoked, categories=gone)

    def end(self) -> None:
        if not self.ended:
            self.trigger_event(SubscriberEnded)

    def _check_living(self) -> None:
        if self.ended:
            raise SubscriberHasEnded(self.id)

    def evolve(self, event: Event) -> None:
        match event:
            case SubscriberRegistered():
                self.subject_id = event.originator_id
                self.name = event.name
                self.purpose = event.purpose
                self.grants: Mapping[Category, str] = {}
                self.ended = False
            case SubscriberGranted():
                self.grants = {**self.grants, **dict.fromkeys(event.categories, event.purpose)}
            case SubscriberRevoked():
                self.grants = {it: self.grants[it] for it in self.grants if it not in event.categories}
            case SubscriberEnded():
                self.grants = {}
                self.ended = True


def _check_purpose(id: UUID, purpose: str) -> None:
    if PURPOSE.fullmatch(purpose) is None:
        raise PurposeIsNoCode(id)
