"""An event as a Kafka record, and back: CloudEvents 1.0, Kafka binding, binary mode.

The log's stored bytes are taken apart, never unsealed: the envelope goes into headers, the public data and
the boxes into the value. Nothing is lost on the way: `from_record` gives back the very bytes of the log.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.persistence import Notification

from infra import json
from services.ports import ENVELOPE_MAY_LACK

Headers = list[tuple[str, bytes]]

STREAMS = {
    "activity": "activities",
    "backup": "backups",
    "consent": "consents",
    "customer": "customers",
    "erasure": "erasures",
    "export": "exports",
    "hold": "holds",
    "lead": "leads",
    "member": "members",
    "privacy": "privacyrequests",
    "restriction": "restrictions",
    "retention": "retention",
    "subject": "erasures",
    "subscriber": "subscribers",
    "ticket": "tickets",
    "webhook": "webhooks",
}
"""The topic of each kind of event, by the first word of its type."""

# Envelope entries beside id, recorded_at and version, by the header that carries them.
ENTRIES = {
    "occurred_at": "ce_occurredat",
    "actor": "ce_actor",
    "correlation_id": "ce_correlationid",
    "command_id": "ce_commandid",
}
OPTIONAL_ENTRIES = {name: f"ce_{name.replace('_', '')}" for name in ENVELOPE_MAY_LACK}
SCHEMA = "urn:lethe:schema:"


class KafkaRecord(NamedTuple):
    """What is sent, or was received: ids only in key and headers."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class UnknownStream(Exception):
    """No topic is declared for events of this type."""


class UnknownEntry(Exception):
    """The envelope has an entry that no header carries: it would be lost on the way."""


def topics(namespace: str) -> list[str]:
    """All topics of a namespace."""
    return [f"{namespace}.{stream}" for stream in sorted(set(STREAMS.values()))]


def state_topic(namespace: str, view: str) -> str:
    """Where the states of one view go."""
    return f"{namespace}.state.{view}"


@lru_cache(maxsize=1024)
def topic_of(event_type: str, namespace: str) -> str:
    """The Kafka topic that events of this type go to. Raises `UnknownStream`."""
    stream = STREAMS.get(event_type.partition(".")[0])
    if stream is None:
        raise UnknownStream(event_type)
    return f"{namespace}.{stream}"


@lru_cache(maxsize=1024)
def _constant_headers(event_type: str, version: int, namespace: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_source", f"/lethe/{namespace}".encode()),
        ("ce_type", event_type.encode()),
        ("ce_dataschema", f"{SCHEMA}{event_type}:{version}".encode()),
    )


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """The stored form, its content left as it is written: it is passed on, not looked into."""

    id: str
    recorded_at: str
    occurred_at: str
    actor: str
    correlation_id: str
    command_id: str
    version: int
    data: msgspec.Raw
    sealed: msgspec.Raw
    causation_id: str | None = None
    traceparent: str | None = None
    on_behalf_of: str | None = None
    purpose: str | None = None
    ground: str | None = None


_stored = msgspec.json.Decoder(_Stored)


def to_record(notification: Notification, namespace: str) -> KafkaRecord:
    """The record of a stored event. Raises `UnknownStream` or `UnknownEntry`."""
    try:
        stored = _stored.decode(notification.state)
    except msgspec.ValidationError as error:
        raise UnknownEntry(str(error)) from None
    key = str(notification.originator_id).encode()
    headers: Headers = [
        *_constant_headers(notification.topic, stored.version, namespace),
        ("ce_id", stored.id.encode()),
        ("ce_subject", key),
        ("ce_time", stored.recorded_at.encode()),
        ("ce_position", b"%d" % notification.id),
        ("ce_aggregateversion", b"%d" % notification.originator_version),
        ("ce_occurredat", stored.occurred_at.encode()),
        ("ce_actor", stored.actor.encode()),
        ("ce_correlationid", stored.correlation_id.encode()),
        ("ce_commandid", stored.command_id.encode()),
    ]
    for entry, name in OPTIONAL_ENTRIES.items():
        if (content := getattr(stored, entry)) is not None:
            headers.append((name, content.encode()))
    return KafkaRecord(topic_of(notification.topic, namespace), key, _value(stored), headers)


def _value(stored: _Stored) -> bytes:
    """The data's members, then the boxes. Joined as text: to parse and write them costs ten times as much."""
    data = bytes(stored.data)
    comma = b"" if data == b"{}" else b","
    return b"".join((data[:-1], comma, b'"sealed":', stored.sealed, b"}"))


def from_record(value: bytes, headers: Sequence[tuple[str, bytes]]) -> Notification:
    """The stored event that a record was made of, at its position in the log."""
    header = {name: content.decode() for name, content in headers}
    data = json.decode(value)
    sealed = data.pop("sealed")
    # In the order of the log's own writing, so that the bytes come out the same.
    state: dict[str, Any] = {"id": header["ce_id"], "recorded_at": header["ce_time"]}
    state |= {entry: header[name] for entry, name in ENTRIES.items()}
    state["version"] = int(header["ce_dataschema"].rpartition(":")[2])
    state["data"] = data
    state["sealed"] = sealed
    state |= {entry: header[name] for entry, name in OPTIONAL_ENTRIES.items() if name in header}
    return Notification(
        id=position_of(headers),
        originator_id=UUID(header["ce_subject"]),
        originator_version=int(header["ce_aggregateversion"]),
        topic=header["ce_type"],
        state=json.encode(state),
    )


def position_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """The log position that a record was made of."""
    return next(int(content) for name, content in headers if name == "ce_position")


def id_of(headers: Sequence[tuple[str, bytes]]) -> str:
    """The id of the event that a record carries, to de-duplicate by."""
    return next(content.decode() for name, content in headers if name == "ce_id")
