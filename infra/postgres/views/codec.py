"""Rows as PostgreSQL keeps them: public facts in columns, personal handles in one `sealed` document.

Handles of one box share it. Of a box, only what the row does not say already is kept: whose it is, its
category, key, ciphertext, and the event it belongs to.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from msgspec import Struct, convert

from domain.model import Category, Sealed
from infra.postgres.views.columns import column
from projections.directory import ContactRow
from projections.model import Personal, Row
from projections.tickets import Span

R = TypeVar("R", bound=Row)
Decode = Callable[[Any], Any]


class KeptBox(Struct, array_like=True, gc=False):
    """A box, as a row keeps it."""

    subject_id: UUID
    category: Category
    fingerprint: str
    box: str
    version: int
    topic: str
    event_id: UUID


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
        """The row of a record that holds the `columns`, in their order."""
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

    def _decode_sealed(self, document: Mapping[str, Any], id: UUID) -> dict[str, Any]:
        boxes = [_opened_box(box, id) for box in document["boxes"]]

        def handle(reference: Sequence[Any]) -> Sealed:
            made: Sealed = boxes[reference[0]](reference[1])
            return made

        found = {name: handle(document[name]) for name in self.personal if name in document}
        people = {
            name: [
                ContactRow(
                    id=UUID(person["id"]), **{key: handle(it) for key, it in person.items() if key != "id"}
                )
                for person in document[name]
            ]
            for name in self.people
            if name in document
        }
        return {**found, **people}


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


def _opened_box(box: Sequence[Any], id: UUID) -> Callable[[str], Sealed]:
    """What makes the handles of one box: whatever they share is read once."""
    kept = convert(box, KeptBox)

    def handle(field: str) -> Sealed:
        return Sealed(
            kept.subject_id,
            kept.category,
            kept.fingerprint,
            kept.box,
            field,
            id,
            kept.version,
            kept.topic,
            kept.event_id,
        )

    return handle


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


def _decoder(hint: Any) -> Decode | None:
    """How a column's value becomes the field's; None where the driver gives it as it is."""
    if get_origin(hint) is UnionType:
        (hint,) = (it for it in get_args(hint) if it is not NoneType)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members: Mapping[str, Enum] = {it.value: it for it in hint}
        return members.__getitem__
    if hint == list[Span]:
        return _decode_spans
    assert not is_dataclass(hint), hint  # noqa: S101  a new kind of field needs a decoder here
    return None


def _decode_spans(value: list[dict[str, str | None]]) -> list[Span]:
    return [Span(since=datetime.fromisoformat(str(it["since"])), until=_moment(it["until"])) for it in value]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
