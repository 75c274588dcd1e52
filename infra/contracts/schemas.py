"""The JSON Schema (2020-12) of an event, in the form that subscribers see: public data, and boxes.

    {"subject_id": ..., "kind": ..., "sealed": [{"subject", "category", "key", "fields", "box"}]}

Personal fields are not properties, because they are only ever inside boxes: `x-personal` names each with its
category, the property that says whose it is, and the schema of its clear value. Members that a schema does
not name must be passed over by readers: no schema here ever closes `additionalProperties`.
"""

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any, Final

from domain.catalogue import layout
from domain.model import Category, DataSubjectId, Event
from infra import json
from infra.contracts.shapes import Shape, shape_of

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REASON: Final = "reason"
SUBJECT_WORDS: Final = "The pseudonym of a person, or of a record: whose keys seal the personal fields."
REASON_WORDS: Final = "Why it was done, where somebody said so: any event may have it."
UNKNOWN_WORDS: Final = "Pass over members that are not named here: later releases may add some."

BOXES: Final[Shape] = {
    "type": "array",
    "description": (
        "Personal data, a box for each data subject and category, none of it readable here. A box that no "
        "key opens any more, because its person is erased, stays where it is."
    ),
    "items": {
        "title": "Box",
        "type": "object",
        "properties": {
            "subject": {"type": "string", "format": "uuid", "description": SUBJECT_WORDS},
            "category": shape_of(Category),
            "key": {"type": "string", "description": "The fingerprint of the key."},
            "fields": {
                "type": "array",
                "items": {"type": "string"},
                "description": "The personal fields that lie in the box.",
            },
            "box": {"type": "string", "description": "The ciphertext (AES-256-GCM), in base64."},
        },
        "required": ["subject", "category", "key", "fields", "box"],
    },
}


def urn(event_type: str, version: int) -> str:
    """The name of a schema: what `dataschema` says in each event of that version."""
    return f"urn:lethe:schema:{event_type}:{version}"


def schema_of(event_class: type[Event], streams: Mapping[str, str]) -> Shape:
    """The schema of the class's present version. `streams`: topics by the first word of a type."""
    declared, fields = layout(event_class), event_class.model_fields
    clear = [*declared.subjects, *declared.public]
    required = [name for name in clear if fields[name].is_required()]
    return {
        "$schema": DIALECT,
        "$id": urn(event_class.TOPIC, event_class.class_version),
        "title": event_class.__name__,
        "description": cleandoc(event_class.__doc__ or ""),
        "$comment": UNKNOWN_WORDS,
        "type": "object",
        "properties": {name: _property(event_class, name) for name in clear} | {"sealed": BOXES},
        "required": [*required, "sealed"],
        "x-type": event_class.TOPIC,
        "x-version": event_class.class_version,
        "x-aggregate": declared.aggregate,
        "x-stream": streams[event_class.TOPIC.partition(".")[0]],
        "x-personal": _personal(event_class),
    }


def _property(event_class: type[Event], name: str) -> Shape:
    """A public field. Where it may be missing, because older events lack it, readers take its default."""
    info = event_class.model_fields[name]
    shape = shape_of(info.annotation)
    if any(isinstance(it, DataSubjectId) for it in info.metadata):
        shape["description"] = SUBJECT_WORDS
    if info.description:
        shape["description"] = info.description
    if not info.is_required():
        shape["default"] = _plain(info.default)
    return shape


def _plain(default: Any) -> Any:
    """A default as JSON has it."""
    return json.decode(json.encode(default))


def _personal(event_class: type[Event]) -> dict[str, Shape]:
    """The personal fields, and the reason, which any event may carry. `subject` null: the record itself."""
    declared = layout(event_class)
    found: dict[str, Shape] = {
        name: {
            "category": str(it.category),
            "subject": it.subject,
            "schema": _clear(event_class.model_fields[name].annotation),
        }
        for name, it in declared.personal.items()
    }
    whose = "subject_id" if event_class.record_subject is Event.record_subject else None
    found[REASON] = {
        "category": str(Category.CONVERSATION),
        "subject": whose,
        "schema": {"type": "string", "description": REASON_WORDS},
    }
    return found


def _clear(declared: Any) -> Shape:
    """The schema of the value inside the box: one that is not there has no box."""
    shape = shape_of(declared)
    return shape["anyOf"][0] if "anyOf" in shape else shape


def schemas_of(events: Iterable[type[Event]], streams: Mapping[str, str]) -> dict[tuple[str, int], Shape]:
    """The schema of the present version of each class, by type and version."""
    return {(it.TOPIC, it.class_version): schema_of(it, streams) for it in events}
