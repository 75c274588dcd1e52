"""From an event as it came to one of the classes of `events.py`: read tolerantly, personal values put in."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from lethe_subscriber.errors import NewerVersion, NotOfItsForm
from lethe_subscriber.received import Received
from lethe_subscriber.values import Envelope, Event, Money, Personal, Withheld

E = TypeVar("E", bound=Event)
Read = Callable[[Any], Any]

REASON: Final = "reason"
"""The name under which the envelope's reason is sealed."""


def decode(cls: type[E], received: Received, opened: Mapping[str, Personal]) -> E:
    """The typed event. Personal values come from `opened`; those that are not there are `Withheld`.

    Raises `NewerVersion` or `NotOfItsForm`.
    """
    if received.schema_version > cls.VERSION:
        raise NewerVersion(f"{cls.TYPE} version {received.schema_version}: this client knows {cls.VERSION}")
    personal: dict[str, Personal] = {
        name: opened.get(name, Withheld(box.category)) for box in received.boxes for name in box.fields
    }
    values: dict[str, Any] = {}
    for name, read, needed in _plan(cls):  # type: ignore[arg-type]  # a class is hashable
        if read is None:
            values[name] = personal.get(name)
        elif name in received.data:
            values[name] = _read(cls, name, read, received.data[name])
        elif needed:
            raise NotOfItsForm(f"{cls.TYPE} lacks {name}")
    return cls(envelope=envelope(received, personal.get(REASON)), **values)


def _read(cls: type[Event], name: str, read: Read, value: Any) -> Any:
    try:
        return read(value)
    except (ArithmeticError, KeyError, TypeError, ValueError):
        raise NotOfItsForm(f"{name} of {cls.TYPE} cannot be read") from None


def envelope(received: Received, reason: Personal = None) -> Envelope:
    """What is known of every event."""
    it = received.document
    return Envelope(
        position=received.position,
        id=UUID(received.id),
        type=received.type,
        schema_version=received.schema_version,
        aggregate_id=UUID(received.aggregate_id),
        aggregate_version=received.version,
        occurred_at=datetime.fromisoformat(it["occurredat"]),
        recorded_at=datetime.fromisoformat(it["time"]),
        actor=it["actor"],
        command_id=it["commandid"],
        correlation_id=it["correlationid"],
        causation_id=it.get("causationid"),
        traceparent=it.get("traceparent"),
        on_behalf_of=it.get("onbehalfof"),
        purpose=it.get("purpose"),
        ground=it.get("ground"),
        reason=reason,
    )


@cache
def _plan(cls: type[Event]) -> tuple[tuple[str, Read | None, bool], ...]:
    """Each field with what reads it (None: it is personal), and whether the data must have it."""
    hints = get_type_hints(cls)
    return tuple(
        (
            it.name,
            None if hints[it.name] == Personal else _reader(hints[it.name]),
            it.default is MISSING and it.default_factory is MISSING,
        )
        for it in fields(cls)
        if it.name != "envelope"
    )


PLAIN: Final[Mapping[Any, Read]] = {
    str: str,
    int: int,
    bool: bool,
    UUID: UUID,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    Money: lambda it: Money(Decimal(it["amount"]), it["currency"]),
}


def _reader(hint: Any) -> Read:
    if hint in PLAIN:
        return PLAIN[hint]
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType) and len(arguments) == 2 and type(None) in arguments:
        (other,) = (it for it in arguments if it is not type(None))
        read = _reader(other)
        return lambda it: None if it is None else read(it)
    if get_origin(hint) is tuple:
        read = _reader(arguments[0])
        return lambda items: tuple(read(it) for it in items)
    if get_origin(hint) is dict:
        return dict
    raise TypeError(f"no event has a field of the type {hint}")
