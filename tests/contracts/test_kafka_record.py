"""An event becomes a Kafka record, and the record the same event again."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import Notification
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import EVENTS
from domain.lead.events import LeadCaptured, LeadQualified
from domain.model import Category, Event
from domain.values import Money
from infra import json
from infra.eventstore.mapper import EventMapper
from infra.kafka.record import (
    UnknownEntry,
    UnknownStream,
    from_record,
    id_of,
    position_of,
    to_record,
    topic_of,
    topics,
)
from services.ports import DataKey, Envelope, Ground, Recorded

MAPPER = EventMapper("main")
SUBJECT = UUID(int=5)
KEYS = {(SUBJECT, it): DataKey("ab" * 32, b"k" * 32) for it in Category}
MOMENT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

text = st.text(min_size=1, max_size=30)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
base = {
    "originator_id": st.uuids(),
    "originator_version": st.integers(1, 10**6),
    "timestamp": moments,
    "subject_id": st.just(SUBJECT),
}
events: st.SearchStrategy[Event] = st.builds(
    LeadCaptured,
    **base,
    originator_topic=st.just("lead"),
    source=text,
    campaign=st.none() | text,
    expected_close_on=st.none() | st.dates(min_value=date(1970, 1, 1)),
    organisation=st.none() | text,
    owner_id=st.none() | st.uuids(),
    name=st.none() | text,
    note=st.none() | text,
) | st.builds(
    LeadQualified,
    **base,
    value=st.builds(
        Money,
        amount=st.decimals(0, 10**9, places=2, allow_nan=False),
        currency=st.sampled_from(["EUR", "USD"]),
    ),
)
envelopes = st.builds(
    Envelope,
    event_id=st.uuids(),
    recorded_at=moments,
    actor=text,
    correlation_id=st.uuids(),
    causation_id=st.none() | st.uuids(),
    command_id=st.uuids(),
    reason=st.none() | text,
    traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    on_behalf_of=st.none() | text,
    purpose=st.none() | text,
    ground=st.none() | st.sampled_from(Ground),
)


def stored(event: Event, envelope: Envelope, position: int) -> Notification:
    it = MAPPER.to_stored_event(Recorded(event, envelope), KEYS)
    return Notification(it.originator_id, it.originator_version, it.topic, it.state, position)


def qualified(**envelope: Any) -> Notification:
    event = LeadQualified(
        originator_id=UUID(int=1),
        originator_version=2,
        timestamp=MOMENT - timedelta(days=3),
        subject_id=SUBJECT,
        value=Money(amount=Decimal("12.50"), currency="EUR"),
    )
    entries: dict[str, Any] = {
        "event_id": UUID(int=2),
        "recorded_at": MOMENT,
        "actor": "import",
        "correlation_id": UUID(int=3),
        "causation_id": None,
        "command_id": UUID(int=4),
    }
    return stored(event, Envelope(**entries | envelope), 42)


@given(events, envelopes, st.integers(1, 2**53))
def test_a_record_gives_back_the_stored_event_byte_for_byte(
    event: Event, envelope: Envelope, position: int
) -> None:
    notification = stored(event, envelope, position)

    record = to_record(notification, "main")
    again = from_record(record.value, record.headers)

    assert again == notification
    assert MAPPER.to_domain_event(again) == MAPPER.to_domain_event(notification)
    assert MAPPER.to_domain_event(again).position == position


def test_the_headers_are_cloudevents_and_hold_the_envelope() -> None:
    record = to_record(
        qualified(
            causation_id=UUID(int=9),
            traceparent="00-aa-bb-01",
            on_behalf_of="7",
            purpose="support",
            ground=Ground.CONSENT,
        ),
        "main",
    )

    assert record.topic == "main.leads"
    assert record.key == str(UUID(int=1)).encode()
    assert dict(record.headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": str(UUID(int=2)).encode(),
        "ce_source": b"/lethe/main",
        "ce_type": b"lead.qualified",
        "ce_subject": str(UUID(int=1)).encode(),
        "ce_time": b"2026-03-01T09:30:00Z",
        "ce_dataschema": b"urn:lethe:schema:lead.qualified:1",
        "ce_position": b"42",
        "ce_aggregateversion": b"2",
        "ce_occurredat": b"2026-02-26T09:30:00Z",
        "ce_actor": b"import",
        "ce_correlationid": str(UUID(int=3)).encode(),
        "ce_causationid": str(UUID(int=9)).encode(),
        "ce_commandid": str(UUID(int=4)).encode(),
        "ce_traceparent": b"00-aa-bb-01",
        "ce_onbehalfof": b"7",
        "ce_purpose": b"support",
        "ce_ground": b"consent",
    }
    assert (position_of(record.headers), id_of(record.headers)) == (42, str(UUID(int=2)))


def test_the_value_is_the_public_data_and_the_boxes() -> None:
    value = json.decode(to_record(qualified(reason="they asked"), "main").value)

    (box,) = value.pop("sealed")
    assert box["fields"] == ["reason"]
    assert value["value"] == {"amount": "12.50", "currency": "EUR"}
    assert value["subject_id"] == str(SUBJECT)


def test_every_event_has_a_topic_among_those_that_are_made() -> None:
    assert {topic_of(it, "main") for it in EVENTS} == set(topics("main"))


def test_an_event_of_no_declared_stream_is_refused() -> None:
    with pytest.raises(UnknownStream):
        topic_of("invoice.sent", "main")


def test_an_envelope_entry_without_a_header_is_refused_rather_than_lost() -> None:
    notification = qualified()
    state = json.encode({**json.decode(notification.state), "weather": "fair"})
    strange = Notification(UUID(int=1), 2, "lead.qualified", state, 42)

    with pytest.raises(UnknownEntry):
        to_record(strange, "main")
