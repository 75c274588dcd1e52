"""How views are read: pages, waiting for one's own write, unsealing, what is withheld; and who saw what."""

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Final, Generic, TypeVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from fastapi import Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.model import Category, Erased, Sealed
from infra.access import Token
from infra.accesslog import Access, network_of, packed
from infra.http.auth import Reader
from infra.http.commands import correlation_of
from infra.http.declared import DECLARED_HEADERS, Declared, declared
from infra.http.dependencies import Dependencies
from infra.http.errors import Malformed, NotYetVisible, ProcessingRestricted, RecordErased
from infra.http.shelf import Name
from infra.http.values import Line
from projections.directory import MemberRow
from projections.model import Personal, Project, Row, head_of
from services.ports import NOTHING_STANDS, RecordNotFound, Standing

WAIT_SECONDS_MAX: Final = 5.0
POSITION_MAX: Final = 2**63 - 1
R = TypeVar("R", bound=Row)
T = TypeVar("T")
F = TypeVar("F")

Position = Annotated[int, Field(ge=0, le=POSITION_MAX)]


class Query(BaseModel):
    """The parameters of a read. An unknown one is refused, rather than silently without effect."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadQuery(Query):
    at_least: Position | None = Field(
        None, description="Wait, up to 5 s, until the views show the event at this position."
    )


def filter_of(query: Query, kind: type[F]) -> F:
    """The view's filter, each of its fields from the parameter of the same name."""
    return kind(**{it.name: getattr(query, it.name) for it in fields(kind)})  # type: ignore[arg-type]


class RecordQuery(ReadQuery):
    as_of: AwareDatetime | None = Field(
        None, description="Show the record as it was then.", examples=["2026-03-01T00:00:00Z"]
    )
    known_at: AwareDatetime | None = Field(
        None, description="Show it as far as was recorded at this moment.", examples=["2026-03-01T00:00:00Z"]
    )


class ListQuery(ReadQuery):
    limit: int = Field(50, ge=1, le=200, description="How many items at most.")
    cursor: str | None = Field(
        None, max_length=64, description="Where to go on: the `next` of the last answer."
    )

    def after(self) -> UUID | None:
        """The last id of the page before. Raises `Malformed`."""
        if self.cursor is None:
            return None
        key = cursor_bytes(self.cursor)
        if len(key) != 16:
            raise broken_cursor()
        return UUID(bytes=key)

    def position(self) -> int:
        """The last position of the page before. Raises `Malformed`."""
        if self.cursor is None:
            return 0
        key = cursor_bytes(self.cursor)
        if len(key) != 8 or key[0] > 127:
            raise broken_cursor()
        return int.from_bytes(key, "big")


class SearchQuery(ListQuery):
    q: Line | None = Field(
        None,
        description="Find by name: part of a person's or a company's. Stands alone, and answers one page.",
        examples=[None],
    )

    def check_alone(self) -> None:
        """Raises `Malformed` where something else is asked beside `q`."""
        others = self.model_fields_set - {"q", "limit", "at_least"}
        if self.q is not None and others:
            raise Malformed(
                f"It stands alone: leave out {', '.join(sorted(others))}.", field="q", rule="stands_alone"
            )


def broken_cursor() -> Malformed:
    return Malformed("Give the `next` of an answer, as it is.", field="cursor", rule="cursor")


def cursor_bytes(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise broken_cursor() from None


def cursor_of(key: UUID | int) -> str:
    raw = key.bytes if isinstance(key, UUID) else key.to_bytes(8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Page(BaseModel, Generic[T]):
    """A part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(description="The `cursor` of the next page; null: this was the last.")


def next_page(rows: Sequence[Row], limit: int) -> str | None:
    """The cursor after a full page."""
    return cursor_of(rows[-1].id) if len(rows) == limit else None


async def wait_for(door: Dependencies, query: ReadQuery) -> None:
    """Wait until the views show what the caller wants to see. Raises `NotYetVisible`."""
    if query.at_least and not await door.views.wait_for(query.at_least, WAIT_SECONDS_MAX):
        raise NotYetVisible


@dataclass(frozen=True, slots=True)
class Reading:
    """A request that may show personal data: who asks, for whom, what for, and from where."""

    door: Dependencies
    token: Token
    declared: Declared
    operation: str
    network: str | None
    correlation_id: UUID

    async def note(
        self,
        subject_ids: Collection[UUID],
        categories: Collection[Category],
        *,
        count: int,
        everyone: bool = False,
        export_id: UUID | None = None,
    ) -> None:
        """Put down who is shown whose data, before it is shown. Raises `Unavailable` where that cannot be."""
        subjects = packed(it.bytes for it in subject_ids)
        await self.note_packed(subjects, categories, count=count, everyone=everyone, export_id=export_id)

    async def note_packed(
        self,
        subjects: bytes,
        categories: Collection[Category],
        *,
        count: int,
        everyone: bool = False,
        export_id: UUID | None = None,
    ) -> None:
        """The same, with the ids as `Access.subjects` has them."""
        accesses = self.door.accesses
        accesses.note(
            Access(
                at=self.door.clock.now(),
                actor=self.token.actor_id,
                token_id=self.token.id,
                on_behalf_of=self.declared.on_behalf_of,
                operation=self.operation,
                purpose=self.declared.purpose,
                ground=self.declared.ground,
                network=self.network,
                subjects=subjects,
                categories=tuple(sorted(categories)),
                count=count,
                everyone=everyone,
                export_id=export_id,
                correlation_id=self.correlation_id,
            )
        )
        await accesses.settled()


async def _reading(request: Request, token: Reader) -> Reading:
    return reading_of(request, token)


def reading_of(request: Request, token: Token) -> Reading:
    """The same for a request whose token is let in by another scope."""
    route = request.scope["route"]
    return Reading(
        door=request.app.state.door,
        token=token,
        declared=declared(request.headers),
        operation=route.operation_id or route.name,
        network=None if request.client is None else network_of(request.client.host),
        correlation_id=correlation_of(request),
    )


Seeing = Annotated[Reading, Depends(_reading)]
DECLARED: Final[dict[str, Any]] = {"parameters": DECLARED_HEADERS}
"""The headers of a read, for the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Shown(Generic[R]):
    """Rows that a reader may see: every personal value clear, or None where it is erased or withheld."""

    rows: list[R]
    standings: Mapping[UUID, Standing]
    members: Mapping[UUID, str]
    """The names of the members whom the rows name by id."""

    def fields_of(self, row: Row) -> dict[str, Any]:
        named = {name: getattr(row, name) for name in _fields(cast("Any", type(row)))}
        return named | self.marks_of(row.subject_id)

    def marks_of(self, subject_id: UUID) -> dict[str, bool]:
        """What a reader must know of a person beside their data."""
        standing = self.standings.get(subject_id, NOTHING_STANDS)
        return {"erased": standing.erased, "restricted": standing.restricted}


async def show(reading: Reading, rows: Sequence[R], *, members: Collection[UUID | None] = ()) -> Shown[R]:
    """Unseal the rows, and the names of the `members` they mention; and note who sees them.

    Whose processing is restricted is withheld: a ground holds for one person, not for a list.
    """
    shown, seen = await clear(reading.door, rows, members, grounded=False)
    await reading.note(seen.subjects(), seen.categories(), count=len(rows))
    return shown


@dataclass(slots=True)
class Seen:
    """What is shown of whom: by row in order, and of the members whom the rows mention by id."""

    by_row: list[set[tuple[UUID, Category]]]
    by_member: dict[UUID, tuple[UUID, set[tuple[UUID, Category]]]]
    """With the member's own data subject first."""

    def whole(self) -> Iterator[tuple[UUID, Category]]:
        for of_one in (*self.by_row, *(it for _, it in self.by_member.values())):
            yield from of_one

    def subjects(self) -> set[UUID]:
        return {subject_id for subject_id, _ in self.whole()}

    def categories(self) -> set[Category]:
        return {category for _, category in self.whole()}


NO_NAMES: Final[Mapping[UUID, Name]] = {}


async def clear(
    door: Dependencies,
    rows: Sequence[R],
    members: Collection[UUID | None],
    *,
    grounded: bool,
    known: Mapping[UUID, Name] = NO_NAMES,
) -> tuple[Shown[R], Seen]:
    """The rows unsealed. Whoever shows them notes what is seen. `known` members are not opened again.

    What the key ring says is erased is not shown, even where a key was still at hand: it is asked for both at
    once, and not from memory.
    """
    unknown = {id for id in members if id is not None and id not in known}
    people = await door.views.directory.members(list(unknown)) if unknown else []
    subjects = {id for row in rows for id in subjects_of(row)}
    subjects.update(it.subject_id for it in people)
    subjects.update(it.subject_id for it in known.values())
    handles = [it for row in (*rows, *people) for it in _handles(row)]
    opened, standings = await door.unsealer.open_heeding(handles, subjects)
    named = {**known, **dict(_names_of(door, people, opened))}
    clearing = _Clearing(opened, standings, grounded)
    names: dict[UUID, str] = {}
    by_member: dict[UUID, tuple[UUID, set[tuple[UUID, Category]]]] = {}
    for id, it in named.items():
        if clearing.may_show(it.subject_id, Category.IDENTITY):
            names[id] = it.name
        by_member[id] = it.subject_id, clearing.taken()
    cleared, by_row = [], []
    for row in rows:
        cleared.append(clearing.row(row))
        by_row.append(clearing.taken())
    return Shown(cleared, standings, names), Seen(by_row, by_member)


def _names_of(
    door: Dependencies, members: Sequence[MemberRow], opened: Mapping[Sealed, str | Erased]
) -> Iterator[tuple[UUID, Name]]:
    """The opened names, kept for the next time at this version of the member."""
    for member in members:
        name = opened[member.name] if isinstance(member.name, Sealed) else None
        if isinstance(name, str):
            it = Name(member.subject_id, name)
            door.shelf.put_name(head_of(member.id, member.version), it)
            yield member.id, it


def check_readable(reading: Reading, standing: Standing, timeline: str) -> None:
    """Raise `RecordErased`, or `ProcessingRestricted` where no ground is given."""
    if standing.erased:
        raise RecordErased(timeline)
    if standing.restricted and reading.declared.ground is None:
        raise ProcessingRestricted


async def as_it_was(door: Dependencies, project: Project[R], id: UUID, query: RecordQuery) -> R:
    """The record's row as of the times asked for. Raises `RecordNotFound` where there was none yet."""
    row = await door.histories.as_of(project, id, as_of=query.as_of, known_at=query.known_at)
    if row is None:
        raise RecordNotFound(id)
    return row


def etag(row: Row, query: RecordQuery | None = None) -> dict[str, str]:
    """The version to send back in If-Match; a record as it was cannot be changed."""
    was = query is not None and (query.as_of or query.known_at)
    return {} if was else {"ETag": f'"{row.version}"'}


@cache
def _names(kind: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a row that hold personal values, and those that hold people."""
    hints = get_type_hints(kind)
    personal = tuple(name for name, hint in hints.items() if hint == Personal)
    people = tuple(
        name for name, hint in hints.items() if get_origin(hint) is list and is_dataclass(get_args(hint)[0])
    )
    return personal, people


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(it.name for it in fields(kind))


def _changed(row: T, changes: Mapping[str, Any]) -> T:
    """A copy with other values: what `dataclasses.replace` makes, in a quarter of the time."""
    kind = type(row)
    copy = object.__new__(kind)
    for name in _fields(cast("Any", kind)):
        setattr(copy, name, changes[name] if name in changes else getattr(row, name))
    return copy


def _handles(row: Any) -> Iterator[Sealed]:
    personal, people = _names(cast("Any", type(row)))
    for name in personal:
        value = getattr(row, name)
        if isinstance(value, Sealed):
            yield value
    for name in people:
        for part in getattr(row, name):
            yield from _handles(part)


def subjects_of(row: Any) -> Iterator[UUID]:
    """Everybody whom the row is about."""
    yield row.subject_id
    yield from (contact.id for contact in getattr(row, "contacts", ()))


class _Clearing:
    """Puts opened values in the place of handles, and keeps count of whose and what was shown."""

    def __init__(
        self, opened: Mapping[Sealed, str | Erased], standings: Mapping[UUID, Standing], grounded: bool
    ) -> None:
        self.opened, self.standings, self.grounded = opened, standings, grounded
        self.seen: set[tuple[UUID, Category]] = set()

    def taken(self) -> set[tuple[UUID, Category]]:
        """What was seen since this was last asked."""
        seen, self.seen = self.seen, set()
        return seen

    def row(self, row: T) -> T:
        """The row with its values clear, or None where nobody may see them."""
        personal, people = _names(cast("Any", type(row)))
        changes: dict[str, Any] = {}
        for name in personal:
            value = getattr(row, name)
            if value is not None:
                changes[name] = self.value(value)
        for name in people:
            if parts := getattr(row, name):
                changes[name] = [self.row(part) for part in parts]
        return _changed(row, changes) if changes else row

    def value(self, handle: Personal) -> str | None:
        """The clear value, or None."""
        if not isinstance(handle, Sealed):
            return handle if isinstance(handle, str) else None
        clear = self.opened[handle]
        if isinstance(clear, Erased):
            return None
        return clear if self.may_show(handle.subject_id, handle.category) else None

    def may_show(self, subject_id: UUID, category: Category) -> bool:
        """Whether a value of theirs may be shown; then it counts as seen."""
        standing = self.standings.get(subject_id)
        if standing is not None and (
            standing.erased
            or category in standing.erased_categories
            or (standing.restricted and not self.grounded)
        ):
            return False
        self.seen.add((subject_id, category))
        return True
