"""Every published event reads as on the day it was published. Golden files are added, never edited.

An optional field that comes to a version later has a golden file of its own: `<type>.v<n>-<words>.json`.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.catalogue import BASE_FIELDS, EVENTS, layout
from domain.model import Created, Event
from domain.values import STORED
from infra.contracts.publishing import key_of_golden
from tests.domain.given import NOON

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(it.name.removesuffix(".json") for it in GOLDEN.glob("*.json"))
PUBLISHED = [(topic, it.class_version) for topic, it in EVENTS.items()]


def golden(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return said


def read(event_class: type[Event], version: int, said: dict[str, Any]) -> Event:
    """The event as a reader of the log builds it, its personal values unsealed."""
    fields = {"originator_id": UUID(int=1), "originator_version": 1, "timestamp": NOON, **said}
    if issubclass(event_class, Created):
        fields["originator_topic"] = layout(event_class).aggregate
    for younger in range(version + 1, event_class.class_version + 1):
        getattr(event_class, f"upcast_v{younger - 1}_v{younger}")(fields)
    return event_class.model_validate(fields, extra="ignore", context=STORED)


def split(name: str) -> tuple[type[Event], int]:
    topic, version = key_of_golden(name)
    return EVENTS[topic], version


@pytest.mark.parametrize(("topic", "version"), PUBLISHED)
def test_every_version_of_an_event_has_its_golden_file(topic: str, version: int) -> None:
    missing = [it for it in range(1, version + 1) if f"{topic}.v{it}" not in NAMES]
    assert not missing, f"write down what {topic} said in version {missing}"


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_reads_as_what_it_says(name: str) -> None:
    event_class, version = split(name)
    event = read(event_class, version, golden(name))
    said = event.model_dump(mode="json", exclude=set(BASE_FIELDS))
    assert {field: said[field] for field in golden(name)} == golden(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_still_reads_when_a_younger_writer_added_fields(name: str) -> None:
    event_class, version = split(name)
    added = {**golden(name), "mood": "sunny", "more": {"of": ["it"]}}
    assert read(event_class, version, added) == read(event_class, version, golden(name))


@pytest.mark.parametrize(("topic", "version"), PUBLISHED)
def test_the_golden_files_of_the_present_version_say_every_field(topic: str, version: int) -> None:
    fields = EVENTS[topic].model_fields.keys() - BASE_FIELDS
    said = {field for name in NAMES if key_of_golden(name) == (topic, version) for field in golden(name)}
    assert said == fields
