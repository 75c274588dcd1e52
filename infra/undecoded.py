"""Events that cannot be read: handed on as such, so that only their own records wait for somebody to look."""

from datetime import UTC, datetime
from functools import cache
from typing import Protocol, cast
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from domain.model import Event
from infra.outage import is_of_event
from services.ports import Envelope, Recorded

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING = UUID(int=0)
NO_ENVELOPE = Envelope(NOTHING, LONG_AGO, "", NOTHING, None, NOTHING)


class Unread(Event):
    """Stands where an event is that cannot be read: only its place is known."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class Undecoded(Recorded, frozen=True, kw_only=True, gc=True):
    """An event whose stored form cannot be read, and why. Its envelope says nothing."""

    error: Exception


class Decoder(Protocol):
    """Turns the stored form into events, personal fields sealed."""

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded: ...


class TolerantDecoder:
    """A decoder that answers with `Undecoded` instead of raising."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        try:
            return self.decoder.to_domain_event(stored_event)
        except Exception as error:
            if not is_of_event(error):
                raise
            return _undecoded(stored_event, error)


def _undecoded(stored: StoredEvent, error: Exception) -> Undecoded:
    event = _unread(stored.topic)(
        originator_id=cast("UUID", stored.originator_id),
        originator_version=stored.originator_version,
        timestamp=LONG_AGO,
    )
    position = stored.id if isinstance(stored, Notification) else 0
    return Undecoded(event, NO_ENVELOPE, position, error=error)


@cache
def _unread(topic: str) -> type[Unread]:
    event_class = type("Unread", (Unread,), {"__module__": __name__})
    setattr(event_class, "TOPIC", topic)  # noqa: B010 - in the class body it would register the topic
    return event_class
