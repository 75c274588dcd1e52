"""The golden events as the log has them: stored bytes, the personal fields of each in boxes."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import Notification

from domain.catalogue import layout
from infra import json
from infra.eventstore.mapper import EventMapper
from services.ports import DataKey, Envelope, Ground, Recorded
from tests.domain.test_golden import golden, read, split

MAPPER = EventMapper("main")
POSITION = 7


def stored(name: str) -> Notification:
    """The stored event: of the present version as the log writes it, else as the log wrote it then."""
    event_class, version = split(name)
    if version < event_class.class_version:
        state = _as_of_old(name)
    else:
        it = Recorded(read(event_class, version, golden(name)), envelope())
        keys = {key: DataKey(os.urandom(32).hex(), os.urandom(32)) for key in MAPPER.needs(it)}
        state = MAPPER.to_stored_event(it, keys).state
    return Notification(
        id=POSITION, originator_id=UUID(int=1), originator_version=1, topic=event_class.TOPIC, state=state
    )


def envelope() -> Envelope:
    """One that says everything that an envelope can say."""
    return Envelope(
        event_id=uuid4(),
        recorded_at=datetime(2026, 3, 2, tzinfo=UTC),
        actor="lethe-import",
        correlation_id=uuid4(),
        causation_id=uuid4(),
        command_id=uuid4(),
        reason="she asked",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        on_behalf_of=str(uuid4()),
        purpose="orders",
        ground=Ground.CONSENT,
    )


def _as_of_old(name: str) -> bytes:
    """A version that no class writes any more, with a box where it has personal fields."""
    event_class, version = split(name)
    said, personal = golden(name), layout(event_class).personal
    boxes = [
        {
            "subject": said[it.subject],
            "category": it.category,
            "key": "ab" * 32,
            "fields": [field],
            "box": "AAAA",
        }
        for field, it in personal.items()
        if field in said
    ]
    state: dict[str, Any] = {
        "id": uuid4(),
        "recorded_at": datetime(2026, 1, 2, tzinfo=UTC),
        "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
        "actor": "lethe-scheduler",
        "correlation_id": uuid4(),
        "command_id": uuid4(),
        "version": version,
        "data": {field: value for field, value in said.items() if field not in personal},
        "sealed": boxes,
    }
    return json.encode(state)
