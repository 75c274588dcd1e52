"""An endpoint as its events left it, and what is known of how it does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.webhook.events import (
    ParkCause,
    WebhookChanged,
    WebhookParked,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)
from infra.webhooks.answers import Answer, Fault
from services.ports import Recorded


class EndpointState(StrEnum):
    """Whether it is sent to."""

    ACTIVE = "active"
    PARKED = "parked"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent, which, and from where on. `version` changes with every one of its events."""

    id: UUID
    version: int
    position: int
    url: str
    types: tuple[str, ...]
    description: str | None
    registered_at: datetime
    after: int
    """Delivery began after this position, as the event at `begun` said."""
    begun: int
    revived: int
    """Where somebody last said to try again."""
    replays: tuple[tuple[int, int], ...] = ()
    """Where somebody has said since `begun` to send again, and what: everything after that position."""
    secret_number: int = 1
    previous_secrets: Mapping[int, datetime] | None = None
    """Those that may still sign, by number, and until when."""
    state: EndpointState = EndpointState.ACTIVE
    cause: ParkCause | None = None
    parked_at: datetime | None = None

    @property
    def told(self) -> int:
        """Where somebody last said where to begin, or to send again."""
        return self.replays[-1][0] if self.replays else self.begun

    def cursor_of(self, followed: int, cursor: int) -> int:
        """Where whoever came to `cursor`, following what was said up to `followed`, goes on.

        What is sent again leaves out nothing that did not arrive yet.
        """
        start = self.after if followed < self.begun else cursor
        return min([start, *(after for at, after in self.replays if at > followed)])

    def secrets_at(self, now: datetime) -> list[int]:
        """The numbers of the secrets that sign, the newest first."""
        older = [number for number, until in (self.previous_secrets or {}).items() if now < until]
        return [self.secret_number, *sorted(older, reverse=True)]


@dataclass(frozen=True, slots=True)
class Progress:
    """How delivery to an endpoint does. Up to the `cursor` all has arrived, what is blocked excepted."""

    begun: int
    cursor: int
    blocked: int = 0
    next_attempt_at: datetime | None = None
    last_status: int | None = None
    last_fault: Fault | None = None
    last_attempt_at: datetime | None = None
    last_success_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An endpoint and how delivery to it does; `lag`: how many positions it is behind the end of the log."""

    endpoint: Endpoint
    progress: Progress
    lag: int


@dataclass(frozen=True, slots=True)
class Pinged:
    """What came of a test delivery."""

    event_id: UUID
    answer: Answer
    milliseconds: float


def endpoints_of(history: Iterable[Recorded]) -> dict[UUID, Endpoint]:
    """The endpoints that these events made, each one's events in order."""
    found: dict[UUID, Endpoint] = {}
    for recorded in history:
        before = found.get(recorded.originator_id)
        found[recorded.originator_id] = (
            _registered(recorded) if before is None else _changed(before, recorded)
        )
    return found


def _registered(recorded: Recorded) -> Endpoint:
    event = recorded.event
    assert isinstance(event, WebhookRegistered)  # noqa: S101 - every webhook begins so
    return Endpoint(
        id=event.originator_id,
        version=event.originator_version,
        position=recorded.position,
        url=event.url,
        types=event.types,
        description=event.description,
        registered_at=recorded.envelope.recorded_at,
        after=recorded.position if event.after is None else event.after,
        begun=recorded.position,
        revived=recorded.position,
    )


def _changed(it: Endpoint, recorded: Recorded) -> Endpoint:
    event, at = recorded.event, recorded.position
    it = replace(it, version=event.originator_version, position=at)
    match event:
        case WebhookChanged():
            return replace(it, url=event.url, types=event.types, description=event.description)
        case WebhookSecretRotated():
            previous = {**(it.previous_secrets or {}), it.secret_number: event.previous_until}
            return replace(it, secret_number=event.number, previous_secrets=previous)
        case WebhookParked():
            now = recorded.envelope.recorded_at
            return replace(it, state=EndpointState.PARKED, cause=event.cause, parked_at=now)
        case WebhookResumed(after=after):
            it = replace(it, state=EndpointState.ACTIVE, cause=None, parked_at=None, revived=at)
            return it if after is None else replace(it, after=after, begun=at, replays=())
        case WebhookReplayed():
            return replace(it, replays=(*it.replays, (at, event.after)), revived=at)
        case WebhookRemoved():
            return replace(it, state=EndpointState.REMOVED)
    return it
