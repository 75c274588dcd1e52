"""What a snapshot says of an aggregate: everything that decisions read, and nothing of a person."""

from enum import StrEnum
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from domain.catalogue import AGGREGATES, layout
from domain.lead.aggregate import Lead
from domain.model import Category, Erased, Event, Sealed
from infra.eventstore.snapshotform import decoded, encoded
from services.remembered import replayed
from tests.domain.test_golden import NAMES, golden, read, split

ID = UUID(int=1)
for it in AGGREGATES:
    import_module(f"domain.{it}.aggregate")  # events find their aggregate's class by its topic


def history(kind: str) -> list[Event]:
    """One event after the other of all that records of this kind can have, personal values in clear."""
    events: list[Event] = []
    for event_class in AGGREGATES[kind]:
        for name in NAMES:
            found, version = split(name)
            if found is event_class and version == event_class.class_version:
                said = read(event_class, version, golden(name))
                events.append(said.model_copy(update={"originator_version": len(events) + 1}))
    return events


def typed(value: Any) -> Any:
    """The value with its type, and so all within it: a text equals an enumeration's member, and is none."""
    match value:
        case dict():
            said: Any = {name: typed(it) for name, it in value.items()}
        case tuple() | list():
            said = [typed(it) for it in value]
        case frozenset():
            said = {typed(it) for it in value}
        case BaseModel():
            said = typed(dict(value))
        case _:
            said = value
    return type(value), said


@pytest.mark.parametrize("kind", AGGREGATES)
def test_every_kind_of_record_comes_back_as_it_was_after_each_event(kind: str) -> None:
    events = history(kind)
    for count in range(1, len(events) + 1):
        aggregate = replayed(events[:count])
        assert aggregate is not None
        back = decoded(encoded(aggregate), ID, count)
        assert type(back) is type(aggregate)
        assert typed(vars(back)) == typed(vars(aggregate))


@pytest.mark.parametrize("kind", AGGREGATES)
def test_no_personal_value_is_in_a_snapshot(kind: str) -> None:
    events = history(kind)
    personal = {
        str(value)
        for event in events
        for name in layout(type(event)).personal
        if (value := getattr(event, name)) is not None
    }
    for count in range(1, len(events) + 1):
        aggregate = replayed(events[:count])
        assert aggregate is not None
        state = encoded(aggregate).decode()
        assert [value for value in personal if value in state] == []


class Unheard(StrEnum):
    """Of no domain's."""

    OF = "unheard of"


SEALED = Sealed(ID, Category.IDENTITY, "its key", "its box", "name", ID, 1, "lead.captured", ID)


@pytest.mark.parametrize(
    "it",
    [
        Erased(Category.IDENTITY),
        SEALED,
        history("lead")[0].model_copy(update={"name": SEALED}),
        Unheard.OF,
    ],
    ids=["erased", "sealed", "sealed in an event", "a type that nobody reads"],
)
def test_what_is_not_to_be_stored_is_refused(it: Any) -> None:
    lead = replayed(history("lead")[:1])
    assert isinstance(lead, Lead)
    lead.cause = it
    with pytest.raises(TypeError, match=type(it).__name__):
        encoded(lead)
