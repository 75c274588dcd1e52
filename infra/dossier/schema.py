"""The published JSON Schema of the dossier (draft 2020-12)."""

from typing import Any, Final

ID: Final = {"type": "string", "format": "uuid"}
MOMENT: Final = {"type": "string", "format": "date-time"}
DAY: Final = {"type": "string", "format": "date"}
TEXT: Final = {"type": "string"}
TEXTS: Final = {"type": "array", "items": TEXT}
CATEGORY: Final = {"$ref": "#/$defs/category"}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(**properties: Any) -> dict[str, Any]:
    """All of these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(item: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "items": item, "description": description}


PERSONAL: Final = {
    "type": "object",
    "additionalProperties": {"$ref": "#/$defs/value"},
    "description": "Personal values by field.",
}
FACTS: Final = {"type": "object", "description": "What is recorded beside them, by field."}

DOSSIER: Final = _object(
    format={"const": "lethe/dossier/1"},
    id=ID,
    form={"enum": ["access", "portability"]},
    made_at=MOMENT,
    namespace=TEXT,
    subject_id=ID | {"description": "The person's pseudonym."},
    request_id=_maybe(ID),
    erased={"type": "boolean"},
    erased_categories={"type": "array", "items": CATEGORY},
    restricted={"type": "boolean"},
    rights=TEXTS,
    automated_decisions=TEXT,
)
PROCESSING: Final = _object(
    activities=_list(
        _object(
            code=TEXT,
            name=TEXT,
            description=TEXT,
            lawful_basis=TEXT,
            categories=TEXTS,
            recipients=TEXTS,
            third_countries=TEXTS,
            safeguards=_maybe(TEXT),
            retention=_maybe(TEXT),
        ),
        "The register of processing: purposes, lawful bases and recipients.",
    ),
    recipients=_list(
        _object(name=TEXT, purpose=TEXT, categories={"type": "array", "items": CATEGORY}),
        "Systems that follow the events, what they may open of them, and what for.",
    ),
    streams=TEXTS | {"description": "Streams on which changes are published, sealed."},
    subscribers=TEXTS | {"description": "Systems that said they erased their copies."},
)
RETENTION: Final = _object(
    kind=TEXT, category=CATEGORY, days={"type": "integer"}, after=TEXTS, legal_reason=TEXT
)
REQUEST: Final = _object(
    id=ID,
    kind={"enum": ["access", "rectification", "erasure", "restriction", "portability", "objection"]},
    received_on=DAY,
    due_on=DAY,
    state={"enum": ["open", "fulfilled", "refused", "withdrawn"]},
    refusal_ground=_maybe(TEXT),
    closed_at=_maybe(MOMENT),
)
CONSENT: Final = _object(
    purpose=TEXT,
    channel=_maybe(TEXT),
    state={"enum": ["given", "withdrawn", "expired"]},
    wording_version=TEXT,
    source=TEXT,
    given_at=MOMENT,
    expires_on=_maybe(DAY),
    ended_at=_maybe(MOMENT),
)
EVENT: Final = _object(
    position={"type": "integer"},
    record_id=ID,
    kind=TEXT,
    type=TEXT | {"description": "The event's stored name, such as `customer.renamed`."},
    occurred_at=MOMENT | {"description": "When it happened."},
    recorded_at=MOMENT | {"description": "When we learnt of it."},
    purpose=_maybe(TEXT),
    reason=_maybe({"$ref": "#/$defs/value"}),
    facts=FACTS,
    personal=PERSONAL,
)
ACCESS: Final = _object(
    at=MOMENT,
    operation=TEXT,
    purpose=_maybe(TEXT),
    ground=_maybe(TEXT),
    categories={"type": "array", "items": CATEGORY},
    export_id=_maybe(ID),
    subscriber=_maybe(TEXT) | {"description": "The system it was shown to; null: somebody of the staff."},
)
EXPORT: Final = _object(
    id=ID,
    what=TEXT,
    held={"enum": ["the person", "many people"], "description": "Whose data it held."},
    made_at=MOMENT,
    purpose=_maybe(TEXT),
)
SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:lethe:schema:dossier:1",
    "title": "Dossier",
    "description": "Everything that is held about a person; in the form `portability`, what they provided.",
    "$defs": {
        "category": {"enum": ["identity", "contact", "conversation", "behaviour", "financial"]},
        "value": {
            "description": "A text; or what stands in the place of an erased one.",
            "anyOf": [TEXT, _object(erased={"const": True}, category=CATEGORY)],
        },
    },
    "type": "object",
    "properties": {
        "dossier": DOSSIER,
        "processing": PROCESSING,
        "retention": _list(RETENTION, "How many days after the latest of these events what is kept."),
        "requests": _list(REQUEST, "What the person asked of us."),
        "consents": _list(CONSENT, "What the person agreed to."),
        "records": _list(
            _object(id=ID, kind=TEXT, facts=FACTS, personal=PERSONAL), "The records as they stand."
        ),
        "history": _list(EVENT, "Every event about the person, in order."),
        "exports": _list(EXPORT, "What left the system with the person's data in it, or may have."),
        "accesses": _list(ACCESS, "When the person's data was shown, the newest first."),
        "end": _object(records={"type": "integer"}, events={"type": "integer"}),
    },
    "required": ["dossier", "consents", "records", "history", "end"],
    "if": {"properties": {"dossier": {"properties": {"form": {"const": "access"}}}}},
    "then": {"required": ["processing", "retention", "requests", "exports", "accesses"]},
    "additionalProperties": False,
}
