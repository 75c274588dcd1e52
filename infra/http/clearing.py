"""What readers are shown: rows with their personal values clear, or withheld; and whose data that shows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from domain.model import Category, Erased, Sealed
from infra.http.dependencies import Dependencies
from infra.http.errors import ProcessingRestricted, RecordErased
from infra.http.reading import Reading
from infra.http.shelf import Name
from projections.directory import MemberRow
from projections.model import Personal, Row, head_of
from services.ports import NOTHING_STANDS, Standing

R = TypeVar("R", bound=Row)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shown(Generic[R]):
    """Rows that a reader may see: every personal value clear, or None where it is erased or withheld."""

    rows: list[R]
    standings: Mapping[UUID, Standing]
    members: Mapping[UUID, str]
    """The names of the members whom the rows name by id."""

    def fields_of(self, row: Row) -> dict[str, Any]:
        kind: Any = type(row)
        names, values_of = _fields(kind)
        return dict(zip(names, values_of(row), strict=True)) | self.marks_of(row.subject_id)

    def marks_of(self, subject_id: UUID) -> dict[str, bool]:
        """What a reader must know of a person beside their data."""
        standing = self.standings.get(subject_id, NOTHING_STANDS)
        return {"erased": standing.erased, "restricted": standing.restricted}


Sight = set[tuple[UUID, Category]]
"""Whose data is shown, and of which categories."""


@dataclass(slots=True)
class Seen:
    """What is shown of whom: by row in order, and of the members whom the rows mention by id."""

    by_row: list[Sight]
    by_member: dict[UUID, tuple[UUID, Sight]]
    """With the member's own data subject first."""

    def whole(self) -> Iterator[tuple[UUID, Category]]:
        for of_one in (*self.by_row, *(it for _, it in self.by_member.values())):
            yield from of_one

    def subjects(self) -> set[UUID]:
        return {subject_id for subject_id, _ in self.whole()}

    def categories(self) -> set[Category]:
        return {category for _, category in self.whole()}


NO_NAMES: Final[Mapping[UUID, Name]] = {}


async def show(reading: Reading, rows: Sequence[R]) -> Shown[R]:
    """Unseal the rows, and note who sees them.

    Whose processing is restricted is withheld: a ground holds for one person, not for a list.
    """
    shown, seen = await clear(reading.door, rows, (), grounded=False)
    await reading.note(seen.subjects(), seen.categories(), count=len(rows))
    return shown


async def clear(
    door: Dependencies,
    rows: Sequence[R],
    members: Collection[UUID | None],
    *,
    grounded: bool,
    known: Mapping[UUID, Name] = NO_NAMES,
) -> tuple[Shown[R], Seen]:
    """The rows unsealed, and the names of the `members` they mention, but for those that are `known`.

    Whoever shows them notes what is seen. What the key ring says is erased is not shown, even where a key was
    still at hand: it is asked for both at once, and not from memory.
    """
    unknown = {id for id in members if id is not None and id not in known}
    people = await door.views.directory.members(list(unknown)) if unknown else []
    subjects = {id for row in rows for id in subjects_of(row)}
    subjects.update(it.subject_id for it in people)
    subjects.update(it.subject_id for it in known.values())
    handles = [it for row in rows for it in _handles(row)]
    handles += [it.name for it in people if isinstance(it.name, Sealed)]
    opened, standings = await door.unsealer.open_heeding(handles, subjects)
    clearing = _Clearing(opened, standings, grounded)
    names: dict[UUID, str] = {}
    by_member: dict[UUID, tuple[UUID, Sight]] = {}
    for id, it in {**known, **dict(_names_of(door, people, opened))}.items():
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
        self.seen: Sight = set()
        # Ids are slow to look up, and the values of one box come one after the other.
        self._last: tuple[UUID, Category, bool] | None = None

    def taken(self) -> Sight:
        """What was seen since this was last asked."""
        seen, self.seen, self._last = self.seen, set(), None
        return seen

    def row(self, row: T) -> T:
        """The row with its values clear, or None where nobody may see them."""
        kind: Any = type(row)
        personal, people = _names(kind)
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
        subject_id, category = handle.subject_id, handle.category
        if self._last is None or subject_id is not self._last[0] or category is not self._last[1]:
            self._last = subject_id, category, self.may_show(subject_id, category)
        return clear if self._last[2] else None

    def may_show(self, subject_id: UUID, category: Category) -> bool:
        """Whether a value of theirs may be shown; then it counts as seen."""
        standing = self.standings.get(subject_id) if self.standings else None
        if standing is not None and (
            standing.erased
            or category in standing.erased_categories
            or (standing.restricted and not self.grounded)
        ):
            return False
        self.seen.add((subject_id, category))
        return True


def _handles(row: Any) -> Iterator[Sealed]:
    kind: Any = type(row)
    personal, people = _names(kind)
    for name in personal:
        value = getattr(row, name)
        if isinstance(value, Sealed):
            yield value
    for name in people:
        for part in getattr(row, name):
            yield from _handles(part)


def _changed(row: T, changes: Mapping[str, Any]) -> T:
    """A copy with other values: what `dataclasses.replace` makes, in a sixth of the time."""
    kind: Any = type(row)
    names, values_of = _fields(kind)
    copy: T = object.__new__(kind)
    for name, value in zip(names, values_of(row), strict=True):
        setattr(copy, name, value)
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


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
def _fields(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """The fields of a row, and what takes all their values at once."""
    names = tuple(it.name for it in fields(kind))
    return names, cast("Callable[[Any], tuple[Any, ...]]", attrgetter(*names))
