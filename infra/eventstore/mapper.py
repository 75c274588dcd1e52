"""The stored form of an event: one JSON document, written once, its personal fields in sealed boxes.

    {"id", "recorded_at", "occurred_at", "actor", "correlation_id", "causation_id", "command_id",
     "traceparent", "on_behalf_of", "purpose", "ground", "version", "data": {public fields},
     "sealed": [{"subject", "category", "key", "fields", "box"}]}

There is one box for each data subject and category. The envelope's reason is free text: it lies under the
reserved name `reason` in the conversation box of the record's subject. `version` is the event class's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias, cast
from uuid import UUID

from eventsourcing.persistence import (
    Mapper,
    MapperDeserialisationError,
    Notification,
    StoredEvent,
    Transcoder,
)
from msgspec import DecodeError, Struct
from msgspec.json import Decoder
from uuid_utils.compat import uuid7

from domain.catalogue import EVENTS, layout
from domain.model import Category, Created, Erased, Event, Public, Sealed
from domain.values import STORED
from infra import json
from infra.eventstore.sealing import Place, seal
from services.ports import (
    Commit,
    DataKey,
    Envelope,
    Ground,
    KeyName,
    ProcessingRestricted,
    Recorded,
    SubjectIsErased,
    Unavailable,
)

REASON = "reason"
Boxes: TypeAlias = Mapping[KeyName, Mapping[str, str]]
"""Clear personal values by name, by the key that each is to be sealed with."""
NO_KEYS: Mapping[KeyName, DataKey | Erased] = {}


class UnknownEvent(Event):
    """A fact of a kind or version that this release does not know, as a later release writes them.

    Readers pass it by, or show what they can of it; nothing decides on it.
    """

    data: Public[dict[str, Any]]
    handles: Public[dict[str, Sealed]]

    @property
    def record_subject(self) -> UUID:
        return UUID(self.data["subject_id"]) if "subject_id" in self.data else self.originator_id


class _Box(Struct, gc=False):
    """A sealed box, as it is stored."""

    subject: UUID
    category: Category
    key: str
    fields: list[str]
    box: str


class _State(Struct, omit_defaults=True):
    """The stored form, written in this order; what a later release adds to it is passed by."""

    id: UUID
    recorded_at: datetime
    occurred_at: datetime
    actor: str
    correlation_id: UUID
    command_id: UUID
    version: int
    data: dict[str, Any]
    sealed: list[_Box]
    causation_id: UUID | None = None
    traceparent: str | None = None
    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: Ground | None = None


# Read in one go into what it is made of: a third of the time that a dict and parsing its texts take.
_state = Decoder(_State).decode


class EventMapper(Mapper[UUID]):
    """Maps `Recorded` to the stored form, and back without unsealing anything."""

    def __init__(self, namespace: str) -> None:
        super().__init__(transcoder=JsonTranscoder())
        self.namespace = namespace
        for event_class in EVENTS.values():
            if REASON in layout(event_class).personal:
                raise TypeError(f"{event_class.__qualname__}: the personal field name {REASON!r} is reserved")

    def envelop(self, commit: Commit, recorded_at: datetime) -> list[Recorded]:
        """The commit's events, each in an envelope with an id of its own."""
        context = commit.context
        return [
            Recorded(
                event,
                Envelope(
                    event_id=uuid7(),
                    recorded_at=recorded_at,
                    actor=context.actor,
                    correlation_id=context.correlation_id,
                    causation_id=context.causation_id,
                    command_id=context.command_id,
                    reason=context.reason,
                    traceparent=context.traceparent,
                    on_behalf_of=context.on_behalf_of,
                    purpose=context.purpose,
                    ground=context.ground,
                ),
            )
            for event in commit.events
        ]

    def needs(self, recorded: Recorded) -> Boxes:
        """What `to_stored_event` seals of this event, by the names of the keys it needs for it."""
        return _clear(recorded)

    def to_stored_event(  # type: ignore[override]  # the library maps bare events; ours come with an envelope
        self,
        recorded: Recorded,
        keys: Mapping[KeyName, DataKey | Erased] = NO_KEYS,
        boxes: Boxes | None = None,
    ) -> StoredEvent:
        """The stored form, sealed with `keys`. Raises `SubjectIsErased` where one of those needed is.

        `boxes`: what `needs` said, so that it is found out once.

        Raises `ProcessingRestricted` where a key is a restricted subject's and the envelope names no ground.
        """
        event, envelope = recorded.event, recorded.envelope
        boxes = _clear(recorded) if boxes is None else boxes
        values = event.__dict__
        state = _State(
            envelope.event_id,
            envelope.recorded_at,
            event.timestamp,
            envelope.actor,
            envelope.correlation_id,
            envelope.command_id,
            event.class_version,
            {name: values[name] for name in _plan(type(event)).clear},
            [self._box(recorded, name, fields, keys[name]) for name, fields in boxes.items()],
            envelope.causation_id,
            envelope.traceparent,
            envelope.on_behalf_of,
            envelope.purpose,
            envelope.ground,
        )
        return StoredEvent(
            event.originator_id, event.originator_version, event.TOPIC, self.transcoder.encode(state)
        )

    def _box(
        self, recorded: Recorded, name: KeyName, fields: Mapping[str, str], key: DataKey | Erased
    ) -> _Box:
        subject_id, category = name
        if isinstance(key, Erased):
            raise SubjectIsErased(subject_id)
        if key.restricted and recorded.envelope.ground is None:
            raise ProcessingRestricted(subject_id)
        event = recorded.event
        place = Place(
            self.namespace,
            event.originator_id,
            event.originator_version,
            event.TOPIC,
            recorded.envelope.event_id,
            subject_id,
            category,
        )
        return _Box(subject_id, category, key.fingerprint, list(fields), seal(fields, key, place))

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        """The event with `Sealed` handles in place of personal values; `UnknownEvent` where it is not known.

        Reads tolerantly: unknown fields are left out, older versions are upcast, values are not held to rules
        that are younger than they are. Raises `MapperDeserialisationError` where the form itself is broken.
        """
        try:
            state = _state(stored_event.state)
            handles = _handles(stored_event, state) if state.sealed else {}
            reason = handles.pop(REASON, None)
            return Recorded(
                _event(stored_event, state, handles),
                _envelope(state, reason),
                stored_event.id if isinstance(stored_event, Notification) else 0,
            )
        except (DecodeError, KeyError, TypeError, ValueError) as error:
            raise MapperDeserialisationError(
                f"{stored_event.topic} {stored_event.originator_id} version "
                f"{stored_event.originator_version} is not in the stored form"
            ) from error

    def handles(self, stored_event: StoredEvent) -> Mapping[str, Sealed]:
        """The event's personal values in their boxes, by the names they were stored under, and its reason."""
        return _handles(stored_event, _state(stored_event.state))

    def to_decide_on(self, stored_events: Iterable[StoredEvent]) -> list[Event]:
        """An aggregate's events. Raises `Unavailable` where a later release wrote one of them."""
        events = [self.to_domain_event(stored).event for stored in stored_events]
        for event in events:
            if isinstance(event, UnknownEvent):
                raise Unavailable(f"a later release wrote {event.TOPIC} of {event.originator_id}")
        return events


class JsonTranscoder(Transcoder):
    """JSON as msgspec writes it: times end in Z, decimals are strings."""

    def encode(self, obj: Any) -> bytes:
        return json.encode(obj)

    def decode(self, data: bytes) -> Any:
        return json.decode(data)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An event class's fields, laid out for the hot path."""

    clear: tuple[str, ...]
    boxes: tuple[tuple[str, Category, tuple[str, ...]], ...]
    """Name of the subject's field, category, names of the personal fields."""
    base: Mapping[str, Any]
    """What every stored event of the class starts from when it is read: absent personal values are None."""


@cache
def _plan(event_class: type[Event]) -> _Plan:
    declared = layout(event_class)
    base: dict[str, Any] = dict.fromkeys(declared.personal)
    if issubclass(event_class, Created):
        base["originator_topic"] = declared.aggregate
    boxes: dict[tuple[str, Category], list[str]] = {}
    for name, it in declared.personal.items():
        boxes.setdefault((it.subject, it.category), []).append(name)
    return _Plan(
        declared.subjects + declared.public,
        tuple((subject, category, tuple(names)) for (subject, category), names in boxes.items()),
        base,
    )


@cache
def _unknown(topic: str) -> type[UnknownEvent]:
    """A class of the topic's own, so that `TOPIC` reads alike on every event; not in the catalogue."""
    event_class = type("UnknownEvent", (UnknownEvent,), {"__module__": __name__})
    setattr(event_class, "TOPIC", topic)  # noqa: B010 - in the class body it would register the topic
    return event_class


def _clear(recorded: Recorded) -> Boxes:
    """The personal values of an event that is about to be stored, by the key that each is sealed with."""
    event, reason = recorded.event, recorded.envelope.reason
    values = event.__dict__
    boxes: dict[KeyName, dict[str, str]] = {}
    for subject, category, names in _plan(type(event)).boxes:
        if fields := {
            name: _text(name, value, event) for name in names if (value := values[name]) is not None
        }:
            # Two fields may name one subject: a contact who is the customer.
            boxes.setdefault((values[subject], category), {}).update(fields)
    if reason is not None:
        box = boxes.setdefault((event.record_subject, Category.CONVERSATION), {})
        box[REASON] = _text(REASON, reason, event)
    return boxes


def _text(name: str, value: Any, event: Event) -> str:
    """The value as a plain text, which is written at once; the domain's kinds of text are not."""
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise TypeError(f"{event.TOPIC}: {name} is not a clear value, so it cannot be sealed")
    return str(value)


def _event(stored: StoredEvent, state: _State, handles: Mapping[str, Sealed]) -> Event:
    event_class, version = EVENTS.get(stored.topic), state.version
    fields: dict[str, Any] = {
        "originator_id": stored.originator_id,
        "originator_version": stored.originator_version,
        "timestamp": state.occurred_at,
    }
    if event_class is None or version > event_class.class_version:
        return _unknown(stored.topic)(data=state.data, handles=dict(handles), **fields)
    fields |= _plan(event_class).base
    fields |= state.data
    fields |= handles
    for younger in range(version + 1, event_class.class_version + 1):
        getattr(event_class, f"upcast_v{younger - 1}_v{younger}")(fields)
    return event_class.model_validate(fields, extra="ignore", context=STORED)


def _handles(stored: StoredEvent, state: _State) -> dict[str, Sealed]:
    originator_id = cast("UUID", stored.originator_id)
    return {
        field: Sealed(
            box.subject,
            box.category,
            box.key,
            box.box,
            field,
            originator_id,
            stored.originator_version,
            stored.topic,
            state.id,
        )
        for box in state.sealed
        for field in box.fields
    }


def _envelope(state: _State, reason: Sealed | None) -> Envelope:
    return Envelope(
        state.id,
        state.recorded_at,
        state.actor,
        state.correlation_id,
        state.causation_id,
        state.command_id,
        reason,
        state.traceparent,
        state.on_behalf_of,
        state.purpose,
        state.ground,
    )
