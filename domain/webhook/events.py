"""What happens to a webhook: an address of others to which events are sent as they happen."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from domain.model import Created, Event, Public


class ParkCause(StrEnum):
    """Why nothing more is sent."""

    GONE = "gone"
    """The receiver said so: 410."""
    GAVE_UP = "gave_up"
    """It refused one event, or was not there, for some three days."""


class WebhookEvent(Event):
    """Nothing personal, and no secret: everybody who reads the log sees the address."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class WebhookRegistered(WebhookEvent, Created):
    """Events of these types are sent there; of all types, where none is named.

    `types` holds types such as `lead.won`, or kinds of record such as `lead`. `after`: from the first event
    after that position; none: from this one on.
    """

    TOPIC: ClassVar[str] = "webhook.registered"
    url: Public[str]
    types: Public[tuple[str, ...]]
    description: Public[str | None] = None
    after: Public[int | None] = None


class WebhookChanged(WebhookEvent):
    """Where and what is sent from now on: all of it."""

    TOPIC: ClassVar[str] = "webhook.changed"
    url: Public[str]
    types: Public[tuple[str, ...]]
    description: Public[str | None] = None


class WebhookSecretRotated(WebhookEvent):
    """The secret of this number signs from now on; the one before it signs beside it until then."""

    TOPIC: ClassVar[str] = "webhook.secret_rotated"
    number: Public[int]
    previous_until: Public[datetime]


class WebhookParked(WebhookEvent):
    """Nothing more is sent until somebody resumes it. Nothing is lost: it goes on where it stopped."""

    TOPIC: ClassVar[str] = "webhook.parked"
    cause: Public[ParkCause]


class WebhookResumed(WebhookEvent):
    """It is sent to again: from where it stopped, or from the first event after a position."""

    TOPIC: ClassVar[str] = "webhook.resumed"
    after: Public[int | None] = None


class WebhookReplayed(WebhookEvent):
    """Everything after this position is sent again."""

    TOPIC: ClassVar[str] = "webhook.replayed"
    after: Public[int]


class WebhookRemoved(WebhookEvent):
    """Nothing is sent there any more."""

    TOPIC: ClassVar[str] = "webhook.removed"
