"""Given facts, when a command comes, then these facts follow, or a rule refuses. The envelope is ignored."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from domain.catalogue import BASE_FIELDS
from domain.model import Aggregate, Created, DomainError, Event, happening_at
from services.application import replay

A = TypeVar("A", bound=Aggregate)

ID = UUID(int=1)
SUBJECT = UUID(int=2)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Fact:
    """An event without its place: its class, and what it says."""

    event_class: type[Event]
    says: dict[str, Any]

    def at(self, version: int, kind: type[Aggregate]) -> Event:
        """The event, as the given version of the record `ID` of the subject `SUBJECT`."""
        place: dict[str, Any] = {"originator_id": ID, "originator_version": version, "timestamp": NOON}
        if issubclass(self.event_class, Created):
            place["originator_topic"] = cast("Any", kind).TOPIC
        if "subject_id" in self.event_class.model_fields:
            place["subject_id"] = SUBJECT
        return self.event_class(**place, **self.says)


def fact(event_class: type[Event], **says: Any) -> Fact:
    return Fact(event_class, says)


def said(event: Event) -> tuple[str, dict[str, Any]]:
    """What the event says, its place left out."""
    fields = type(event).model_fields.keys() - BASE_FIELDS - {"subject_id"}
    return event.TOPIC, {name: getattr(event, name) for name in sorted(fields)}


@dataclass(frozen=True)
class Outcome(Generic[A]):
    """What a command led to."""

    kind: type[A]
    events: tuple[Event, ...]
    refusal: DomainError | None

    def then(self, *facts: Fact) -> None:
        """Exactly these facts follow; none: the command returned quietly."""
        assert self.refusal is None, f"refused: {self.refusal!r}"
        expected = [said(it.at(1, self.kind)) for it in facts]
        assert [said(it) for it in self.events] == expected

    def refused(self, rule: type[DomainError]) -> None:
        """The rule refused, and nothing follows."""
        assert type(self.refusal) is rule
        assert self.events == ()


@dataclass(frozen=True)
class Given(Generic[A]):
    """A record as its facts left it."""

    kind: type[A]
    facts: tuple[Fact, ...] = field(default=())

    def given(self, *facts: Fact) -> "Given[A]":
        return Given(self.kind, self.facts + facts)

    def stands(self) -> A:
        """The record itself, to ask it what its facts made of it."""
        history = [it.at(version, self.kind) for version, it in enumerate(self.facts, start=1)]
        return replay(self.kind, ID, history)

    def when(self, command: Callable[[A], None]) -> Outcome[A]:
        aggregate = self.stands()
        with happening_at(NOON):
            try:
                command(aggregate)
            except DomainError as refusal:
                return Outcome(self.kind, _events(aggregate), refusal)
        return Outcome(self.kind, _events(aggregate), None)

    def when_made(self, factory: Callable[[], A]) -> Outcome[A]:
        """The command that makes the record."""
        with happening_at(NOON):
            try:
                return Outcome(self.kind, _events(factory()), None)
            except DomainError as refusal:
                return Outcome(self.kind, (), refusal)


def _events(aggregate: Aggregate) -> tuple[Event, ...]:
    return tuple(cast("list[Event]", aggregate.collect_events()))
