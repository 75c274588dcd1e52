"""The JSON Schema of a value, made from its Python type: as the log writes it, and subscribers read it."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from domain.model import Category, Erased, Sealed
from domain.privacyrequest.terms import IdentityProof
from domain.values import AMOUNT, Channel, CheckedText, ExportFormat, LossReason, SubjectKind

Shape = dict[str, Any]

OPEN_LISTS: Final = frozenset({Category, Channel, ExportFormat, IdentityProof, LossReason, SubjectKind})
"""Lists of words that grow with the business: a reader must expect a word that it does not know. In every
other list of words a new one is a change of the contract."""

OPEN_WORDS: Final = "x-extensible-enum"
"""The words of an open list as far as they are known: a validator lets others pass."""

PLAIN: Final[Mapping[Any, Shape]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    date: {"type": "string", "format": "date"},
    datetime: {"type": "string", "format": "date-time"},
    Decimal: {"type": "string", "pattern": f"^{AMOUNT}$"},
}


class NoShape(TypeError):
    """There is no published form for values of this type: say here how the log writes them."""


def shape_of(declared: Any) -> Shape:
    """The schema of values of this type. What stands for a sealed value is left out. Raises `NoShape`."""
    if declared in PLAIN:
        return dict(PLAIN[declared])
    origin, parts = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return shape_of(parts[0])
    if origin in (Union, UnionType):
        return _any_of([it for it in parts if it not in (Sealed, Erased)])
    if origin is tuple and parts[1:] == (...,):
        return {"type": "array", "items": shape_of(parts[0])}
    if origin is dict and parts[0] is str:
        return {"type": "object", "additionalProperties": shape_of(parts[1])}
    if isinstance(declared, type):
        return _named(declared)
    raise NoShape(repr(declared))


def _any_of(parts: list[Any]) -> Shape:
    """A value, or null: the log knows no other choices."""
    present = [it for it in parts if it is not NoneType]
    if len(present) != 1:
        raise NoShape(" | ".join(map(repr, parts)))
    shape = shape_of(present[0])
    if len(present) == len(parts):
        return shape
    return {"anyOf": [shape, {"type": "null"}]}


def _named(declared: type) -> Shape:
    """A type of the domain's own: its name and what it says of itself go with it."""
    about = {"title": declared.__name__, "description": first_line(declared)}
    if issubclass(declared, StrEnum):
        keyword = OPEN_WORDS if declared in OPEN_LISTS else "enum"
        return about | {"type": "string", keyword: [str(it) for it in declared]}
    if issubclass(declared, CheckedText):
        return about | {"type": "string"} | dict(declared.described_as)
    if issubclass(declared, BaseModel):
        fields = declared.model_fields
        return about | {
            "type": "object",
            "properties": {name: shape_of(it.annotation) for name, it in fields.items()},
            "required": [name for name, it in fields.items() if it.is_required()],
        }
    raise NoShape(declared.__qualname__)


def first_line(documented: Any) -> str:
    """What it says of itself, in one sentence. Raises `NoShape` where it says nothing."""
    words = getdoc(documented)
    if not words:
        raise NoShape(f"{documented.__qualname__} has no docstring")
    return words.splitlines()[0]
