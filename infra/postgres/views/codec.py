"""Rows as PostgreSQL keeps them: public facts in columns, personal handles in one `sealed` document.

Handles of one box share it. Of a box, only what the row does not say already is kept: whose it is, its
category, key, ciphertext, and the event it belongs to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from msgspec import Struct, defstruct
from msgspec.json import Decoder

from domain.model import Category, Sealed
from infra.postgres.views.columns import column
from projections.directory import ContactRow
from projections.model import Personal, Row

R = TypeVar("R", bound=Row)
Decode = Callable[[Any], Any]
Reference = tuple[int, str]
"""Which of the row's boxes, and the field in it."""


class KeptBox(Struct, array_like=True, gc=False):
    """A box, as a row keeps it."""

    subject_id: UUID
    category: Category
    fingerprint: str
    box: str
    version: int
    topic: str
    event_id: UUID


class KeptPerson(Struct, gc=False):
    """A contact, as a row keeps it."""

    id: UUID
    name: Reference | None = None
    role: Reference | None = None
    email: Reference | None = None
    phone: Reference | None = None


class NotSealed(TypeError):
    """A row holds a clear personal value: it is never written."""


class RowCodec(Generic[R]):
    """Turns rows of one class into literals of whole columns, and records of the database into rows."""

    def __init__(self, kind: type[R]) -> None:
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        self.kind = kind
        self.personal = tuple(name for name in names if hints[name] == Personal)
        self.people = tuple(name for name in names if hints[name] == list[ContactRow])
        kept = {*self.personal, *self.people}
        plain = tuple(name for name in names if name not in kept)
        self.seals = bool(kept)
        self.columns = tuple(column(name, hints[name]) for name in plain)
        if self.seals:
            self.columns += (column("sealed", dict),)
        self._decoders: Sequence[tuple[str, Decode | None]] = tuple(
            (name, _decoder(hints[name])) for name in plain
        )
        self._document = Decoder(_document(self.personal, self.people)).decode

    def encode(self, rows: Sequence[R]) -> list[str]:
        """The rows as one literal a column. Raises `NotSealed`."""
        return [
            it.literal(
                [self._encode_sealed(row) for row in rows]
                if it.name == "sealed"
                else map(attrgetter(it.name), rows)
            )
            for it in self.columns
        ]

    def decode(self, record: Sequence[Any]) -> R:
        """The row of a record that holds the `columns`, in their order, documents as text."""
        values = {
            name: value if value is None or decode is None else decode(value)
            for (name, decode), value in zip(self._decoders, record, strict=False)
        }
        if self.seals and (sealed := record[-1]) is not None:
            values.update(self._decode_sealed(sealed, values["id"]))
        return self.kind(**values)

    def _encode_sealed(self, row: R) -> dict[str, Any] | None:
        boxes = _Boxes(row.id)
        document: dict[str, Any] = {}
        for name in self.personal:
            if (handle := getattr(row, name)) is not None:
                document[name] = boxes.refer(handle)
        for name in self.people:
            if people := getattr(row, name):
                document[name] = [_encode_person(person, boxes) for person in people]
        return {"boxes": boxes.kept, **document} if document else None

    def _decode_sealed(self, text: str, id: UUID) -> dict[str, Any]:
        document: Any = self._document(text)
        boxes = document.boxes

        def handle(reference: Reference | None) -> Sealed | None:
            if reference is None:
                return None
            box = boxes[reference[0]]
            return Sealed(
                box.subject_id,
                box.category,
                box.fingerprint,
                box.box,
                reference[1],
                id,
                box.version,
                box.topic,
                box.event_id,
            )

        found: dict[str, Any] = {name: handle(getattr(document, name)) for name in self.personal}
        for name in self.people:
            found[name] = [
                ContactRow(
                    id=it.id,
                    name=handle(it.name),
                    role=handle(it.role),
                    email=handle(it.email),
                    phone=handle(it.phone),
                )
                for it in getattr(document, name)
            ]
        return found


class _Boxes:
    """The distinct boxes of one row, each kept once."""

    def __init__(self, id: UUID) -> None:
        self.id = id
        self.kept: list[list[Any]] = []
        self._places: dict[tuple[str, int], int] = {}

    def refer(self, handle: Any) -> list[Any]:
        if not isinstance(handle, Sealed):
            raise NotSealed(type(handle).__name__)
        key = handle.box, handle.event_id.int
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.kept)
            self.kept.append(
                [
                    handle.subject_id,
                    handle.category,
                    handle.fingerprint,
                    handle.box,
                    handle.originator_version,
                    handle.topic,
                    handle.event_id,
                ]
            )
        return [place, handle.field]


def _encode_person(person: ContactRow, boxes: _Boxes) -> dict[str, Any]:
    handles = {name: getattr(person, name) for name in ("name", "role", "email", "phone")}
    return {"id": person.id} | {name: boxes.refer(it) for name, it in handles.items() if it is not None}


def codec(kind: type[R]) -> RowCodec[R]:
    """The codec of a row class."""
    found: RowCodec[R] = _codec(cast("Any", kind))
    return found


@cache
def _codec(kind: Any) -> Any:
    return RowCodec(kind)


def _document(personal: Sequence[str], people: Sequence[str]) -> type[Struct]:
    """What the `sealed` column of a row with these fields holds."""
    fields: list[Any] = [("boxes", list[KeptBox])]
    fields += [(name, Reference | None, None) for name in personal]
    fields += [(name, list[KeptPerson], []) for name in people]
    return defstruct("Document", fields)


def _decoder(hint: Any) -> Decode | None:
    """How a column's value becomes the field's; None where the driver gives it as it is."""
    if get_origin(hint) is UnionType:
        (hint,) = (it for it in get_args(hint) if it is not NoneType)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members: Mapping[str, Enum] = {it.value: it for it in hint}
        return members.__getitem__
    return Decoder(hint).decode if column("", hint).is_document else None
