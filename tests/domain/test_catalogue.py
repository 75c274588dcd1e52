"""The catalogue: every event by name, and every field declared, or the start stops."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Annotated, ClassVar
from uuid import UUID

import pytest
from eventsourcing.utils import resolve_topic

from domain.catalogue import (
    AGGREGATES,
    EVENTS,
    UndeclaredField,
    UnnamedEvent,
    check,
    events_in,
    layout,
)
from domain.customer.events import ContactAdded, CustomerRegistered
from domain.model import Category, Created, DataSubject, Event, Identity, PersonalData, Public


class Undeclared(Event):
    TOPIC: ClassVar[str] = "test.undeclared"
    subject_id: DataSubject
    colour: str


class TwiceDeclared(Event):
    TOPIC: ClassVar[str] = "test.twice_declared"
    subject_id: DataSubject
    colour: Public[Identity[str]]


class NobodysName(Event):
    TOPIC: ClassVar[str] = "test.nobodys_name"
    name: Identity[str]


class PublicSubject(Event):
    TOPIC: ClassVar[str] = "test.public_subject"
    contact_id: Public[UUID]
    name: Annotated[str | None, PersonalData(Category.IDENTITY, "contact_id")]


@pytest.mark.parametrize("event_class", [Undeclared, TwiceDeclared, NobodysName, PublicSubject])
def test_a_field_that_is_not_clearly_declared_is_refused(event_class: type[Event]) -> None:
    with pytest.raises(UndeclaredField):
        check([event_class])


def test_an_undeclared_field_stops_the_start() -> None:
    """Caused for real: the field is there before the catalogue is imported, as after a careless edit."""
    careless = dedent("""
        import domain.lead.events as events
        from domain.model import Event

        class LeadPainted(Event):
            TOPIC = "lead.painted"
            colour: str

        LeadPainted.__module__ = events.__name__
        events.LeadPainted = LeadPainted
        import domain.catalogue
    """)
    start = subprocess.run(
        [sys.executable, "-c", careless],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert start.returncode == 1
    assert "UndeclaredField: LeadPainted.colour" in start.stderr


def test_an_event_without_a_name_of_its_own_is_refused() -> None:
    module = ModuleType("careless")
    module.Nameless = type("Nameless", (Event,), {"__module__": "careless"})  # type: ignore[attr-defined]
    with pytest.raises(UnnamedEvent):
        list(events_in(module))


def test_a_layout_says_what_is_public_what_is_personal_and_whose() -> None:
    declared = layout(ContactAdded)
    assert declared.aggregate == "customer"
    assert declared.subjects == ("subject_id", "contact_id")
    assert declared.public == ()
    assert declared.personal["name"] == PersonalData(Category.IDENTITY, "contact_id")
    assert declared.personal["phone"] == PersonalData(Category.CONTACT, "contact_id")


def test_a_layout_leaves_out_what_every_event_has() -> None:
    assert "originator_topic" not in layout(CustomerRegistered).public
    assert layout(CustomerRegistered).public[:4] == ("kind", "source", "lawful_basis", "purpose")


@pytest.mark.parametrize("name", AGGREGATES)
def test_an_aggregate_is_made_by_its_first_event_and_found_by_its_name(name: str) -> None:
    first, *others = AGGREGATES[name]
    assert issubclass(first, Created)
    assert not [it for it in others if issubclass(it, Created)]
    __import__(f"domain.{name}.aggregate")
    assert resolve_topic(name).__name__.lower() == name


@pytest.mark.parametrize("topic", EVENTS)
def test_an_event_is_found_by_its_stored_name(topic: str) -> None:
    assert resolve_topic(topic) is EVENTS[topic]


@pytest.mark.parametrize("topic", EVENTS)
def test_an_event_says_what_it_means(topic: str) -> None:
    """Its docstring is what subscribers and auditors read."""
    assert (EVENTS[topic].__dict__.get("__doc__") or "").strip().endswith((".", ")"))


def test_an_event_shows_nothing_personal_when_printed() -> None:
    added = ContactAdded(
        originator_id=UUID(int=1),
        originator_version=2,
        timestamp="2026-01-01T00:00Z",
        subject_id=UUID(int=3),
        contact_id=UUID(int=4),
        name="Ann Unmistakable",
    )
    assert "Unmistakable" not in f"{added!r} {added}"
    assert str(UUID(int=4)) in repr(added)


def test_a_refused_personal_value_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(ValueError, match="email") as refusal:
        CustomerRegistered(email="unmistakable at example")  # type: ignore[call-arg]
    assert "unmistakable" not in str(refusal.value)
