"""How records are sent: pages and single ones, from the shelf where nothing has changed, else opened anew."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from starlette.responses import Response

from domain.model import Category
from infra import json
from infra.accesslog import packed
from infra.http.dependencies import Dependencies
from infra.http.reading import NO_NAMES, Reading, Shown, check_readable, clear, cursor_of, subjects_of
from infra.http.records import Record
from infra.http.shelf import Name, Sent
from projections.model import Head, Row
from services.ports import NOTHING_STANDS, RecordNotFound, Standing

R = TypeVar("R", bound=Row)
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """A kind of record: whom of the staff its rows mention by id, and how they are shown."""

    name: str
    member: Callable[[R], UUID | None]
    model: type[Record]
    facts: Callable[[R, Shown[R]], Mapping[str, Any]]

    def record(self, row: R, shown: Shown[R]) -> Record:
        """The record as it is documented."""
        return self.model.model_validate(self.facts(row, shown))

    def json(self, row: R, shown: Shown[R]) -> bytes:
        """The same as JSON. Past the model, which takes four times as long."""
        facts = self.facts(row, shown)
        return json.encode({name: facts[name] for name in self.model.__pydantic_fields__})


@dataclass(frozen=True, slots=True)
class KeptKind(Kind[R]):
    """One that is sent from the shelf where it stands there: `rows` fetches those that do not."""

    rows: Callable[[Dependencies, Sequence[UUID]], Awaitable[list[R]]]


async def send_page(reading: Reading, kind: KeptKind[R], heads: Sequence[Head], limit: int) -> Response:
    """The records of these heads, in order, and where the list goes on; noted."""
    sent = await _of_heads(reading, kind, heads)
    goes_on = cursor_of(heads[-1].id) if len(heads) == limit else None
    return await _page(reading, [it for head in heads if (it := sent.get(head.id)) is not None], goes_on)


async def send_rows(
    reading: Reading, kind: Kind[R], rows: Sequence[R], goes_on: str | None = None
) -> Response:
    """A page of rows that are at hand; noted."""
    return await _page(reading, (await _opened(reading.door, kind, rows, grounded=False))[0], goes_on)


async def send_one(reading: Reading, kind: KeptKind[R], head: Head | None, id: UUID) -> Response:
    """One record as things stand; noted.

    Raises `RecordNotFound`, `RecordErased` where its person is, and `ProcessingRestricted`.
    """
    if head is None:
        raise RecordNotFound(id)
    sent = (await _shelved(reading.door, [head])).get(head.id)
    if sent is not None:
        return await _record(reading, sent, _etag(head.version))
    rows = await kind.rows(reading.door, [id])
    if not rows:
        raise RecordNotFound(id)
    return await send_row(reading, kind, rows[0], _etag(rows[0].version), head)


async def send_row(
    reading: Reading, kind: Kind[R], row: R, headers: Mapping[str, str], head: Head | None = None
) -> Response:
    """One record of which the row is at hand; noted. Raises as `send_one` does."""
    grounded = reading.declared.ground is not None
    [sent], standings = await _opened(reading.door, kind, [row], grounded=grounded)
    standing = standings.get(row.subject_id, NOTHING_STANDS)
    check_readable(reading, standing, f"/v1/{kind.name}/{row.id}/timeline")
    if head is not None:
        _keep(reading.door, head, row, sent, standings)
    return await _record(reading, sent, headers)


def _etag(version: int) -> dict[str, str]:
    return {"ETag": f'"{version}"'}


async def _of_heads(reading: Reading, kind: KeptKind[R], heads: Sequence[Head]) -> dict[UUID, Sent]:
    sent = await _shelved(reading.door, heads)
    missing = {head.id: head for head in heads if head.id not in sent}
    if missing:
        rows = await kind.rows(reading.door, list(missing))
        known = _known_names(reading.door, kind, rows, missing)
        opened, standings = await _opened(reading.door, kind, rows, grounded=False, known=known)
        for row, it in zip(rows, opened, strict=True):
            sent[row.id] = it
            _keep(reading.door, missing[row.id], row, it, standings)
    return sent


def _known_names(
    door: Dependencies, kind: Kind[R], rows: Sequence[R], heads: Mapping[UUID, Head]
) -> dict[UUID, Name]:
    """The names of the members whom the rows mention, of those that are kept at their versions."""
    members = {
        id: version
        for row in rows
        if (id := kind.member(row)) is not None and (version := heads[row.id].member_version) is not None
    }
    found = {id: door.shelf.name(Head(id, version, None)) for id, version in members.items()}
    return {id: name for id, name in found.items() if name is not None}


def _keep(door: Dependencies, head: Head, row: Row, sent: Sent, standings: Mapping[UUID, Standing]) -> None:
    # A row may have gone on since its head was read: what is kept is kept under the versions that it shows.
    if row.version == head.version and not any(
        id in standings and _withholds(standings[id]) for id in sent.people
    ):
        door.shelf.put(head, sent)


async def _shelved(door: Dependencies, heads: Sequence[Head]) -> dict[UUID, Sent]:
    """What can be sent as it was, by record: the key ring, asked now, has nothing to say of anybody in it."""
    found = {head.id: it for head in heads if (it := door.shelf.get(head)) is not None}
    standings = await door.ring.standings({id for it in found.values() for id in it.people})
    marked = {id for id, standing in standings.items() if _withholds(standing)}
    if marked:
        stale = [id for id, it in found.items() if not marked.isdisjoint(it.people)]
        door.shelf.drop(stale)
        for id in stale:
            del found[id]
    return found


def _withholds(standing: Standing) -> bool:
    return standing.erased or standing.restricted or bool(standing.erased_categories)


async def _opened(
    door: Dependencies,
    kind: Kind[R],
    rows: Sequence[R],
    *,
    grounded: bool,
    known: Mapping[UUID, Name] = NO_NAMES,
) -> tuple[list[Sent], Mapping[UUID, Standing]]:
    members = [kind.member(row) for row in rows]
    shown, seen = await clear(door, rows, members, grounded=grounded, known=known)
    sent = []
    for row, of_row in zip(shown.rows, seen.by_row, strict=True):
        people, visible = set(subjects_of(row)), set(of_row)
        member = seen.by_member.get(kind.member(row) or row.id)
        if member is not None:
            people.add(member[0])
            visible |= member[1]
        sent.append(
            Sent(
                kind.json(row, shown),
                tuple(people),
                tuple({id.bytes for id, _ in visible}),
                frozenset(category for _, category in visible),
            )
        )
    return sent, shown.standings


async def _page(reading: Reading, sent: Sequence[Sent], next_cursor: str | None) -> Response:
    subjects: set[bytes] = set()
    categories: set[Category] = set()
    for it in sent:
        subjects.update(it.subjects)
        categories |= it.categories
    await reading.note_packed(packed(subjects), categories, count=len(sent))
    items = b",".join([it.body for it in sent])
    body = b'{"items":[%b],"next":%b}' % (items, json.encode(next_cursor))
    return Response(body, media_type=JSON)


async def _record(reading: Reading, sent: Sent, headers: Mapping[str, str]) -> Response:
    await reading.note_packed(packed(sent.subjects), sent.categories, count=1)
    return Response(sent.body, headers=dict(headers), media_type=JSON)
