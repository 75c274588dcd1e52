"""The client's typed events are those of the server: the same names, the same values, events of any age."""

from typing import Any
from uuid import UUID

import pytest
from lethe_subscriber import events
from lethe_subscriber.decoding import decode
from lethe_subscriber.received import Received
from lethe_subscriber.values import Event, Money

from domain.catalogue import BASE_FIELDS, EVENTS, layout
from infra import json
from infra.cloudevents import cloud_event
from infra.contracts.schemas import schema_of
from infra.contracts.typed import NameTaken, NoType, type_of, typed_events
from infra.kafka.record import STREAMS
from tests.contracts_published.said import MAPPER, stored
from tests.domain.test_golden import NAMES, golden


def client_reads(name: str) -> Event:
    """The golden event as a subscriber gets it who may see everything."""
    item = json.decode(json.encode(cloud_event(stored(name), "main")))
    return decode(events.EVENTS[item["type"]], Received(item), golden(name) | {"reason": "she asked"})


def as_plain(value: Any) -> Any:
    """A client's value as JSON has it."""
    if isinstance(value, Money):
        return {"amount": str(value.amount), "currency": value.currency}
    return json.decode(json.encode(value))


def test_there_is_a_class_for_every_event_at_its_present_version() -> None:
    made = {type: (it.TYPE, it.VERSION, it.__name__) for type, it in events.EVENTS.items()}
    assert made == {type: (type, it.class_version, it.__name__) for type, it in EVENTS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_subscriber_reads_an_event_of_any_age_as_the_server_does(name: str) -> None:
    read, server = client_reads(name), MAPPER.to_domain_event(stored(name)).event
    said = server.model_dump(mode="json", exclude=set(BASE_FIELDS) | layout(type(server)).personal.keys())
    said |= {field: it for field, it in golden(name).items() if field in layout(type(server)).personal}
    assert {field: as_plain(getattr(read, field)) for field in said} == said


def test_values_have_their_types() -> None:
    won = client_reads("lead.won.v1")
    assert isinstance(won, events.LeadWon)
    assert isinstance(won.subject_id, UUID)
    assert isinstance(won.value, Money)
    assert won.envelope.actor == "lethe-import"
    assert won.reason == "she asked"


@pytest.mark.parametrize("name", ["reason", "position"])
def test_a_field_that_the_client_has_for_every_event_is_refused(name: str) -> None:
    schema = schema_of(EVENTS["lead.won"], STREAMS)
    schema["properties"] = schema["properties"] | {name: {"type": "string"}}
    with pytest.raises(NameTaken, match=name):
        typed_events([schema])


def test_what_the_client_has_no_type_for_is_refused() -> None:
    with pytest.raises(NoType):
        type_of({"type": "object", "properties": {"a": {"type": "string"}}})
