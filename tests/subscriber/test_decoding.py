"""An event as it came becomes a typed one: tolerantly, and what is personal never shown unasked."""

import dataclasses
from typing import Any
from uuid import UUID

import pytest
from lethe_subscriber.decoding import decode
from lethe_subscriber.errors import NewerVersion
from lethe_subscriber.events import EVENTS
from lethe_subscriber.kinds import kinds_of
from lethe_subscriber.received import Received
from lethe_subscriber.values import Envelope, Event, Withheld

from domain.catalogue import layout
from infra.kafka.record import STREAMS
from tests.domain.test_golden import NAMES, golden, split
from tests.subscriber.listed import A, received


def delivered(name: str, *, said: dict[str, Any]) -> Received:
    """The event of a golden file as it comes, its personal fields in boxes."""
    event_class, version = split(name)
    personal = layout(event_class).personal
    boxes = [
        {"subject": A, "category": str(it.category), "fields": [field]}
        for field, it in personal.items()
        if said.get(field) is not None
    ]
    data = {field: value for field, value in said.items() if field not in personal}
    came = received(type=event_class.TOPIC, schema=version, boxes=boxes)
    return Received({**came.document, "data": {**came.data, **data}})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_opened_is_withheld_and_never_in_the_representation(name: str) -> None:
    said, personal = golden(name), layout(split(name)[0]).personal
    closed = decode(EVENTS[split(name)[0].TOPIC], delivered(name, said=said), {})
    opened = decode(EVENTS[split(name)[0].TOPIC], delivered(name, said=said), said)
    for field, declared in personal.items():
        expected = None if said.get(field) is None else Withheld(str(declared.category))
        assert getattr(closed, field) == expected
        assert said.get(field) is None or str(said[field]) not in f"{opened!r} {opened}"


def test_every_kind_of_event_is_in_a_stream() -> None:
    assert kinds_of(["erasures"]) == ["erasure", "subject"]
    assert kinds_of({it.STREAM for it in EVENTS.values()}) == sorted(STREAMS)


def test_no_event_has_a_field_that_hides_one_of_the_envelope() -> None:
    reserved = {name for name in dir(Event) if not name.startswith("_")} | {"envelope"}
    for cls in EVENTS.values():
        own = {it.name for it in dataclasses.fields(cls)} - {"envelope"}
        assert own & reserved == set(), cls
        assert cls.__repr__ is Event.__repr__


def test_the_envelope_has_all_that_a_cloud_event_says() -> None:
    document = dict(received(A, 3, "ticket.closed", position=9).document)
    document |= {"causationid": "b", "traceparent": "t", "onbehalfof": "o", "purpose": "p", "ground": "g"}
    event = decode(EVENTS["ticket.closed"], Received(document), {})
    assert (event.position, event.aggregate_id, event.aggregate_version) == (9, UUID(A), 3)
    assert event.occurred_at.isoformat() == "2026-03-01T08:00:00+00:00"
    assert event.recorded_at.isoformat() == "2026-03-01T09:00:00+00:00"
    assert (event.id, event.actor, event.reason) == (UUID(document["id"]), str(UUID(int=7)), None)
    it: Envelope = event.envelope
    assert (it.causation_id, it.traceparent, it.on_behalf_of, it.purpose, it.ground) == (
        "b",
        "t",
        "o",
        "p",
        "g",
    )


def test_a_younger_form_is_not_guessed_at_and_a_younger_member_is_passed_over() -> None:
    with pytest.raises(NewerVersion):
        decode(EVENTS["ticket.closed"], received(schema=2), {})
    assert decode(EVENTS["ticket.closed"], received(schema=1, of_tomorrow=1), {}).aggregate_version == 1
