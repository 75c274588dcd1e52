"""What happens to a person's consent to one purpose through one channel (GDPR, articles 6(1)(a) and 7)."""

from datetime import date
from typing import ClassVar

from domain.model import Conversation, DataSubject, Event, Public, Recurring
from domain.values import Channel


class ConsentGiven(Recurring):
    """The person agreed to this wording of this purpose; without a `channel`, through every one of them.

    It holds to the end of the day `expires_on`, in UTC. `evidence` is what shows that they did.
    """

    TOPIC: ClassVar[str] = "consent.given"
    subject_id: DataSubject
    purpose: Public[str]
    wording_version: Public[str]
    source: Public[str]
    channel: Public[Channel | None] = None
    expires_on: Public[date | None] = None
    evidence: Conversation[str] = None


class ConsentWithdrawn(Event):
    """The person took it back: what was done before stays lawful (GDPR, article 7(3))."""

    TOPIC: ClassVar[str] = "consent.withdrawn"
    subject_id: DataSubject


class ConsentExpired(Event):
    """The day up to which the consent was given is over."""

    TOPIC: ClassVar[str] = "consent.expired"
    subject_id: DataSubject
