"""The JSON Schema (2020-12) of a state: a view's row as its topic of states has it, from the row's class.

A personal value is no value here: it says where in the log it lies. The version is that of the view.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import cleandoc
from typing import Any, Final, get_args, get_origin, get_type_hints

from domain.model import Category
from infra.contracts.schemas import DIALECT, UNKNOWN_WORDS, urn
from infra.contracts.shapes import Shape, first_line, shape_of
from projections.model import Personal, Row

PLACE: Final[Shape] = {
    "title": "Place",
    "description": "Where in the log a personal value lies: POST /v1/unseal opens it to who is granted that.",
    "type": "object",
    "properties": {
        "category": shape_of(Category),
        "position": {"type": "integer", "description": "Of the event that holds it."},
        "field": {"type": "string", "description": "Of that event."},
    },
    "required": ["category", "position", "field"],
}
STANDING: Final[Mapping[str, Shape]] = {
    "restricted": {
        "type": "boolean",
        "description": "Whether the processing of the person's data is restricted.",
    },
    "erased_categories": {
        "type": "array",
        "items": shape_of(Category),
        "description": "Categories that are erased: what lies there opens no more.",
    },
}
"""What a state says beside its row."""


def schema_of_state(view: str, kind: type[Row], aggregate: str, version: int) -> Shape:
    """The schema of this view's states, whose rows are of this kind: every member is always there."""
    members = {**_members(kind), **STANDING}
    return {
        "$schema": DIALECT,
        "$id": urn(f"state.{view}", version),
        "title": kind.__name__,
        "description": cleandoc(kind.__doc__ or ""),
        "$comment": UNKNOWN_WORDS,
        "type": "object",
        "properties": members,
        "required": list(members),
        "x-type": f"state.{view}",
        "x-version": version,
        "x-aggregate": aggregate,
    }


def _members(kind: type[Any]) -> dict[str, Shape]:
    hints = get_type_hints(kind)
    return {it.name: _shape(hints[it.name]) for it in fields(kind)}


def _shape(declared: Any) -> Shape:
    """The schema of what a row's field holds. Raises `NoShape`."""
    if declared == Personal:
        return {"anyOf": [PLACE, {"type": "null"}]}
    if get_origin(declared) is list:
        return {"type": "array", "items": _shape(get_args(declared)[0])}
    if declared == dict[str, Any]:
        return {"type": "object"}
    if is_dataclass(declared) and isinstance(declared, type):
        members = _members(declared)
        about = {"title": declared.__name__, "description": first_line(declared)}
        return about | {"type": "object", "properties": members, "required": list(members)}
    return shape_of(declared)
