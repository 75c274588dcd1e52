"""The stored form of a snapshot: JSON in which a value that JSON does not know is `[its type, what it says]`.

It is read by the release that wrote it and by no other (`form`), so it needs no versions. What it has no
words for is refused, `Sealed` and `Erased` with it: no decision reads anything personal.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from eventsourcing.domain import Snapshot
from pydantic import BaseModel

from domain.catalogue import EVENTS
from domain.model import Aggregate, Erased, Sealed
from domain.values import STORED, CheckedText, Money
from infra import json

SOURCES = ("domain/**/*.py", "infra/eventstore/*.py")
PLAIN = frozenset({type(None), bool, int, str})
PUT_BACK = ("_id", "_version", "_pending_events")
"""Of an aggregate's fields those that the library fills itself."""

Read = Callable[[Any], Any]
READ: Mapping[str, Read] = {
    "UUID": UUID,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "Decimal": Decimal,
    "tuple": lambda said: tuple(map(_read, said)),
    "frozenset": lambda said: frozenset(map(_read, said)),
    "dict": lambda said: {_read(name): _read(value) for name, value in said},
}


def encoded(aggregate: Aggregate) -> bytes:
    """What the aggregate knows. Raises `TypeError` where that is something not to be stored."""
    snapshot = Snapshot.take(aggregate)
    state = {name: _written(it) for name, it in snapshot.state.items() if name not in PUT_BACK}
    return json.encode([snapshot.topic, state])


def decoded(state: bytes, id: UUID, version: int) -> Aggregate:
    """The aggregate that was encoded, as of then."""
    topic, said = json.decode(state)
    fields = {name: _read(it) for name, it in said.items()}
    snapshot = Snapshot(id, version, fields["_modified_on"], topic, fields)
    return cast("Aggregate", snapshot.mutate(None))


@cache
def form() -> bytes:
    """Names the way from events to stored aggregates: a digest of the sources that have a part in it."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256(version("eventsourcing").encode())
    for source in sorted({found for pattern in SOURCES for found in root.glob(pattern)}):
        digest.update(str(source.relative_to(root)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()[:16]


@cache
def _named() -> Mapping[str, type[Any]]:
    """The domain's own types of values, by name; its events among them, which some aggregates remember."""
    texts: list[type[Any]] = [*StrEnum.__subclasses__(), *CheckedText.__subclasses__()]
    own: list[type[Any]] = [it for it in texts if it.__module__.startswith("domain.")]
    own += [Money, *EVENTS.values()]
    return {it.__name__: it for it in own}


def _written(value: Any) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    match value:
        case tuple() | frozenset():
            said: Any = [_written(it) for it in value]
        case dict():
            said = [(_written(name), _written(it)) for name, it in value.items()]
        case BaseModel() if not any(isinstance(it, Sealed | Erased) for _, it in value):
            said = value.model_dump(mode="json")
        case StrEnum() | CheckedText() | UUID() | Decimal():
            said = str(value)
        case date():
            said = value.isoformat()
        case _:
            raise _refused(kind)
    if kind.__name__ not in READ and _named().get(kind.__name__) is not kind:
        raise _refused(kind)  # nobody could read it
    return [kind.__name__, said]


def _refused(kind: type[Any]) -> TypeError:
    return TypeError(f"a snapshot has no form for {kind.__qualname__}")


def _read(said: Any) -> Any:
    if type(said) is not list:
        return said
    name, value = said
    if name in READ:
        return READ[name](value)
    kind = _named()[name]
    return kind.model_validate(value, context=STORED) if issubclass(kind, BaseModel) else kind(value)
