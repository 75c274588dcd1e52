"""How records are sent: pages and single ones, from the shelf where nothing has changed, else opened anew."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from starlette.responses import Response

from domain.model import Category
from infra import json
from infra.accesslog import ID_BYTES, packed
from infra.http.clearing import NO_NAMES, Shown, check_readable, clear, subjects_of
from infra.http.dependencies import Dependencies
from infra.http.reading import Reading, cursor_of
from infra.http.records import Record
from infra.http.shelf import Name, Sent
from projections.model import Headed, Heads, Row, id_of, member_head
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
    """One that is sent from the shelf where it stands there; `rows` fetches them from the view."""

    rows: Callable[[Dependencies, Sequence[UUID]], Awaitable[list[Headed[R]]]]


async def send_page(reading: Reading, kind: KeptKind[R], listed: Heads, limit: int) -> Response:
    """The records of these heads, in order, and where the list goes on; noted."""
    door, heads = reading.door, listed.heads
    sent: list[Sent | None] = await _shelved(door, listed)
    missing = {it[:ID_BYTES]: place for place, it in enumerate(heads) if sent[place] is None}
    if missing:
        rows = await kind.rows(door, [id_of(heads[place]) for place in missing.values()])
        for row, it in zip(rows, await _opened_anew(door, kind, rows), strict=True):
            sent[missing[row.head[:ID_BYTES]]] = it
    goes_on = cursor_of(id_of(heads[-1])) if len(heads) == limit else None
    return await _page(reading, [it for it in sent if it is not None], goes_on)


async def send_found(reading: Reading, kind: KeptKind[R], ids: Sequence[UUID]) -> Response:
    """The records of these ids, in order; noted."""
    rows = await kind.rows(reading.door, ids)
    sent = await _of_rows(reading.door, kind, rows)
    return await _page(reading, sent, None)


async def send_rows(
    reading: Reading, kind: Kind[R], rows: Sequence[R], goes_on: str | None = None
) -> Response:
    """A page of rows that are at hand; noted."""
    return await _page(reading, (await _opened(reading.door, kind, rows, grounded=False))[0], goes_on)


async def send_one(reading: Reading, kind: KeptKind[R], id: UUID) -> Response:
    """One record as things stand; noted.

    Raises `RecordNotFound`, `RecordErased` where its person is, and `ProcessingRestricted`.
    """
    rows = await kind.rows(reading.door, [id])
    if not rows:
        raise RecordNotFound(id)
    [headed] = rows
    [sent] = await _shelved(reading.door, Heads(headed.mark, [headed.head]))
    etag = {"ETag": f'"{headed.row.version}"'}
    if sent is None:
        return await send_row(reading, kind, headed.row, etag, headed)
    return await _record(reading, sent, etag)


async def send_row(
    reading: Reading, kind: Kind[R], row: R, headers: Mapping[str, str], headed: Headed[R] | None = None
) -> Response:
    """One record of which the row is at hand; noted. Raises as `send_one` does."""
    grounded = reading.declared.ground is not None
    known = {} if headed is None else _known_names(reading.door, kind, [headed])
    [sent], standings = await _opened(reading.door, kind, [row], grounded=grounded, known=known)
    standing = standings.get(row.subject_id, NOTHING_STANDS)
    check_readable(reading, standing, f"/v1/{kind.name}/{row.id}/timeline")
    if headed is not None:
        _keep(reading.door, headed, sent, standings)
    return await _record(reading, sent, headers)


async def _of_rows(door: Dependencies, kind: KeptKind[R], rows: Sequence[Headed[R]]) -> list[Sent]:
    """The rows as they were sent, or opened anew, in order."""
    if not rows:
        return []
    shelved = await _shelved(door, Heads(rows[0].mark, [row.head for row in rows]))
    missing = [row for row, sent in zip(rows, shelved, strict=True) if sent is None]
    opened = iter(await _opened_anew(door, kind, missing) if missing else ())
    return [next(opened) if sent is None else sent for sent in shelved]


async def _opened_anew(door: Dependencies, kind: KeptKind[R], rows: Sequence[Headed[R]]) -> list[Sent]:
    known = _known_names(door, kind, rows)
    sent, standings = await _opened(door, kind, [it.row for it in rows], grounded=False, known=known)
    for row, it in zip(rows, sent, strict=True):
        _keep(door, row, it, standings)
    return sent


def _known_names(door: Dependencies, kind: Kind[R], rows: Sequence[Headed[R]]) -> dict[UUID, Name]:
    """The names of the members whom the rows mention, of those that are kept at their versions."""
    found: dict[UUID, Name] = {}
    for row in rows:
        id = kind.member(row.row)
        if (
            id is not None
            and id not in found
            and (name := door.shelf.name(member_head(row.head, id))) is not None
        ):
            found[id] = name
    return found


def _keep(door: Dependencies, row: Headed[Any], sent: Sent, standings: Mapping[UUID, Standing]) -> None:
    # The mark is older than what the key ring was asked. Were there something to heed at the mark,
    # then that has ended since, and has turned it.
    if not standings or not any(id in standings and _withholds(standings[id]) for id in sent.people):
        door.shelf.put(row.head, sent, row.mark)


async def _shelved(door: Dependencies, listed: Heads) -> list[Sent | None]:
    """What can be sent as it was, for each head: the key ring, asked now, has nothing to say of them."""
    kept = door.shelf.get(listed.heads)
    doubtful = [it for it in kept if it is not None and (it.mark is None or it.mark != listed.mark)]
    if doubtful:
        standings = await door.ring.standings({id for it in doubtful for id in it.it.people})
        marked = {id for id, standing in standings.items() if _withholds(standing)}
        for place, it in enumerate(kept):
            if it is None:
                continue
            if marked.isdisjoint(it.it.people):
                it.mark = listed.mark
            else:
                door.shelf.drop(listed.heads[place])
                kept[place] = None
    return [None if it is None else it.it for it in kept]


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
        people, visible = list(subjects_of(row)), of_row
        member = seen.by_member.get(kind.member(row) or row.id)
        if member is not None:
            people.append(member[0])
            visible = visible | member[1]
        sent.append(
            Sent(
                kind.json(row, shown),
                tuple(people),
                tuple({id.bytes for id, _ in visible}),
                frozenset([category for _, category in visible]),
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
