"""What may happen to a consent: one aggregate for each person, purpose and channel."""

from datetime import date
from typing import NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.consent.events import ConsentExpired, ConsentGiven, ConsentWithdrawn
from domain.model import Aggregate, DomainError, Event
from domain.values import Channel


class ConsentNotDue(DomainError):
    """A consent expires after the day up to which it was given, and not before."""


class Agreement(TypedDict):
    """What the person agreed to, named as in `ConsentGiven`, beside its purpose and channel."""

    wording_version: str
    source: str
    expires_on: NotRequired[date | None]
    evidence: NotRequired[str | None]


class Consent(Aggregate):
    """Whether one person agrees to one purpose, through one channel or through all."""

    TOPIC = "consent"

    @classmethod
    def give_first(
        cls,
        *,
        id: UUID,
        subject_id: UUID,
        purpose: str,
        channel: Channel | None = None,
        **agreement: Unpack[Agreement],
    ) -> Self:
        return cls._create(
            ConsentGiven, id=id, subject_id=subject_id, purpose=purpose, channel=channel, **agreement
        )

    def give(self, **agreement: Unpack[Agreement]) -> None:
        """Always recorded: each time they agree there is evidence of its own, and a time it counts from."""
        self.trigger_event(ConsentGiven, purpose=self.purpose, channel=self.channel, **agreement)

    def withdraw(self) -> None:
        """A consent that has expired can be withdrawn too: it says that they do not want it back."""
        if not self.withdrawn:
            self.trigger_event(ConsentWithdrawn)

    def expire(self, *, today: date) -> None:
        if not self.living:
            return
        if self.expires_on is None or today <= self.expires_on:
            raise ConsentNotDue(self.id)
        self.trigger_event(ConsentExpired)

    def evolve(self, event: Event) -> None:
        match event:
            case ConsentGiven():
                self.subject_id = event.subject_id
                self.purpose = event.purpose
                self.channel = event.channel
                self.expires_on = event.expires_on
                self.living = True
                self.withdrawn = False
            case ConsentWithdrawn():
                self.living = False
                self.withdrawn = True
            case ConsentExpired():
                self.living = False
