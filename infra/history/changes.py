"""What changed in a record, field by field: from what, to what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from domain.catalogue import layout
from domain.model import Erased, Event, Sealed
from infra import json
from infra.eventstore.mapper import UnknownEvent
from projections.model import Row

# What every event moves on, and so says nothing.
UNTOLD = frozenset({"id", "subject_id", "version", "position", "changed_at"})
Value = Any
"""JSON of a public value, or a personal one: sealed, clear or `Erased`."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that changed. None: there was nothing, or there is nothing any more."""

    field: str
    before: Value
    after: Value


def changes(before: Row | None, after: Row | None) -> list[Change]:
    """The fields in which two states of one record differ, in the order of the row."""
    old, new = _facts(before), _facts(after)
    names = dict.fromkeys([*new, *old])
    return [Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def said_by(event: Event) -> list[Change]:
    """What an event says by itself, for records that no view shows."""
    said = {**public(event), **personal(event)}
    return [Change(name, None, value) for name, value in said.items() if value is not None]


def personal(event: Event) -> Mapping[str, Any]:
    """The personal fields of an event."""
    if isinstance(event, UnknownEvent):
        return event.handles
    return {name: getattr(event, name) for name in layout(type(event)).personal}


def public(event: Event) -> Mapping[str, Any]:
    """The public fields of an event as JSON values, pseudonyms of data subjects among them."""
    if isinstance(event, UnknownEvent):
        return event.data
    declared = layout(type(event))
    return event.model_dump(mode="json", include={*declared.subjects, *declared.public})


def _facts(row: Row | None) -> dict[str, Value]:
    return {} if row is None else dict(_told(row, ""))


def _told(row: Any, prefix: str) -> Iterator[tuple[str, Value]]:
    for it in fields(row):
        value = getattr(row, it.name)
        if it.name in UNTOLD or value is None:
            continue
        if isinstance(value, list) and value and hasattr(value[0], "id"):
            # People in a list: each by their own id, so that one who moves up in it has not changed.
            for part in value:
                yield f"{prefix}{it.name}.{part.id}", True
                yield from _told(part, f"{prefix}{it.name}.{part.id}.")
        elif isinstance(value, Sealed | Erased):
            yield f"{prefix}{it.name}", value
        elif value != []:
            yield f"{prefix}{it.name}", json.decode(json.encode(value))
