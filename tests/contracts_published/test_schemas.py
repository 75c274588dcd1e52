"""Every event that the log has, of whatever age, is as its published schema says."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from domain.model import Sealed
from infra import json
from infra.cloudevents import cloud_event
from infra.contracts import cloudevents
from infra.contracts.contracts import Contracts
from infra.contracts.shapes import OPEN_WORDS, NoShape, shape_of
from infra.eventstore.mapper import UnknownEvent
from infra.http.feed import CloudEvent
from infra.kafka.record import STREAMS, to_record
from services.ports import ENVELOPE_MAY_LACK
from tests.contracts_published.said import MAPPER, stored
from tests.domain.test_golden import NAMES, golden

SCHEMAS = Contracts(STREAMS, [], "main").schemas
BY_URN = {it["$id"]: it for it in SCHEMAS.values()}
FORMATS = FormatChecker(["uuid", "date"])


def validator(schema: Any) -> Draft202012Validator:
    return Draft202012Validator(schema, format_checker=FORMATS)


def named(key: tuple[str, int]) -> str:
    return f"{key[0]}.v{key[1]}"


@pytest.mark.parametrize("key", SCHEMAS, ids=named)
def test_the_reference_validator_takes_the_schema(key: tuple[str, int]) -> None:
    Draft202012Validator.check_schema(SCHEMAS[key])
    assert SCHEMAS[key]["$id"] == f"urn:lethe:schema:{key[0]}:{key[1]}"
    assert SCHEMAS[key]["description"]


def test_every_version_that_was_ever_published_has_a_golden_file() -> None:
    assert [it for it in map(named, SCHEMAS) if it not in NAMES] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_event_is_as_the_schema_says_that_it_names_in_kafka_and_on_the_feed(name: str) -> None:
    event = stored(name)
    record, item = to_record(event, "main"), cloud_event(event, "main")
    urn = dict(record.headers)["ce_dataschema"].decode()
    assert urn == item["dataschema"]
    validator(BY_URN[urn]).validate(json.decode(record.value))
    validator(BY_URN[urn]).validate(json.decode(json.encode(item["data"])))


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_event_of_any_age_still_reads_with_its_personal_values_sealed(name: str) -> None:
    recorded = MAPPER.to_domain_event(stored(name))
    assert not isinstance(recorded.event, UnknownEvent)
    personal = BY_URN[cloud_event(stored(name), "main")["dataschema"]]["x-personal"]
    for field in golden(name).keys() & personal.keys():
        value = getattr(recorded.event, field)
        assert isinstance(value, Sealed)
        assert value.category == personal[field]["category"]


@pytest.mark.parametrize("name", NAMES)
def test_what_lies_in_the_boxes_is_announced_with_category_and_owner(name: str) -> None:
    item = cloud_event(stored(name), "main")
    personal = BY_URN[item["dataschema"]]["x-personal"]
    for box in item["data"]["sealed"]:
        for field in box["fields"]:
            said = personal[field]
            assert box["category"] == said["category"]
            whose = item["subject"] if said["subject"] is None else item["data"][said["subject"]]
            assert str(box["subject"]) == str(whose)
            if field != "reason":
                validator(said["schema"]).validate(golden(name)[field])


def test_without_a_field_that_must_be_there_nothing_is_valid() -> None:
    for name in NAMES:
        item = json.decode(to_record(stored(name), "main").value)
        schema = BY_URN[cloud_event(stored(name), "main")["dataschema"]]
        for field in schema["required"]:
            lacking = {other: value for other, value in item.items() if other != field}
            assert not validator(schema).is_valid(lacking), f"{name} without {field}"


def test_a_value_of_another_type_is_not_valid() -> None:
    schema = SCHEMAS["lead.won", 1]
    data = json.decode(to_record(stored("lead.won.v1"), "main").value)
    for wrong in ({"value": 900}, {"value": {"amount": 9, "currency": "EUR"}}, {"subject_id": "ada"}):
        with pytest.raises(ValidationError):
            validator(schema).validate(data | wrong)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all that it is made of."""
    if isinstance(schema, dict):
        yield schema
        for it in schema.values():
            yield from nodes(it)


def test_no_schema_is_closed_against_members_to_come() -> None:
    closed = [
        key for key, it in SCHEMAS.items() for node in nodes(it) if node.get("additionalProperties") is False
    ]
    assert closed == []


def test_an_open_list_lets_new_words_pass_and_a_closed_one_does_not() -> None:
    data = json.decode(to_record(stored("ticket.opened.v1"), "main").value)
    schema = SCHEMAS["ticket.opened", 1]
    assert OPEN_WORDS in schema["properties"]["channel"]
    validator(schema).validate(data | {"channel": "by pigeon"})
    assert not validator(schema).is_valid(data | {"impact": "colossal"})


@pytest.mark.parametrize("declared", [object, bytes, float, "str", set[str], str | int, tuple[str, int]])
def test_what_the_log_has_no_form_for_has_no_schema(declared: Any) -> None:
    with pytest.raises(NoShape):
        shape_of(declared)


def test_the_headers_of_a_record_are_as_announced_and_no_other() -> None:
    announced = cloudevents.headers()
    Draft202012Validator.check_schema(announced)
    headers = {name: it.decode() for name, it in to_record(stored("lead.won.v1"), "main").headers}
    validator(announced).validate(headers)
    assert headers.keys() == announced["properties"].keys()
    optional = {f"ce_{name.replace('_', '')}" for name in ENVELOPE_MAY_LACK}
    assert announced["properties"].keys() - set(announced["required"]) == optional


def test_the_members_of_a_cloud_event_are_as_announced_and_no_other() -> None:
    announced = cloudevents.document()
    Draft202012Validator.check_schema(announced)
    item = json.decode(json.encode(cloud_event(stored("lead.won.v1"), "main")))
    validator(announced).validate(item)
    assert item.keys() == announced["properties"].keys() == CloudEvent.model_fields.keys()
