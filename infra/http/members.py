"""Members of staff over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from uuid_utils.compat import uuid7

from infra.http import bodies
from infra.http.commands import CREATING, Creating, RecordId, Verb, add_verbs
from infra.http.errors import READ_REFUSALS, RECORD_REFUSALS, documented
from infra.http.reading import (
    DECLARED,
    Page,
    Reading,
    ReadQuery,
    SearchQuery,
    Seeing,
    filter_of,
    next_page,
    show,
    show_one,
    wait_for,
)
from infra.http.records import MemberRecord
from infra.http.values import Line
from projections.directory import MemberFilter, MemberRow
from services.ports import RecordNotFound

MEMBERS = "/v1/members"
router = APIRouter(tags=["members"])


class MemberQuery(SearchQuery):
    team: Line | None = None
    office: Line | None = None
    present: bool | None = None

    def where(self) -> MemberFilter:
        return filter_of(self, MemberFilter)


@router.post(MEMBERS, status_code=201, **CREATING)
async def register_member(body: bodies.RegisterMember, command: Creating) -> Response:
    """Somebody works here: a data subject like any other. Every event names them by id only."""
    return await command.create(
        command.door.members.register, body, f"{MEMBERS}/{{id}}", id=uuid7(), subject_id=uuid7()
    )


@router.get(MEMBERS, responses=documented(*READ_REFUSALS), openapi_extra=DECLARED)
async def list_members(reading: Seeing, query: Annotated[MemberQuery, Query()]) -> Page[MemberRecord]:
    """Members in order of id, filtered by field; or found by name, with `q`."""
    door = reading.door
    query.check_alone()
    await wait_for(door, query)
    if query.q is not None:
        ids = await door.names.search(query.q, kind="member", limit=query.limit)
        return Page(items=await _shown(reading, await door.views.directory.members(ids)), next=None)
    rows = await door.views.directory.list_members(query.where(), limit=query.limit, after=query.after())
    return Page(items=await _shown(reading, rows), next=next_page(rows, query.limit))


async def _shown(reading: Reading, rows: list[MemberRow]) -> list[MemberRecord]:
    shown = await show(reading, rows, members=[row.manager_id for row in rows])
    return [MemberRecord.of(row, shown) for row in shown.rows]


@router.get(f"{MEMBERS}/{{id}}", responses=documented(*RECORD_REFUSALS), openapi_extra=DECLARED)
async def read_member(
    id: RecordId, reading: Seeing, query: Annotated[ReadQuery, Query()], response: Response
) -> MemberRecord:
    """The member as things stand."""
    door = reading.door
    await wait_for(door, query)
    row = await door.views.directory.member(id)
    if row is None:
        raise RecordNotFound(id)
    shown = await show_one(reading, "members", row, members=[row.manager_id])
    response.headers["ETag"] = f'"{row.version}"'
    return MemberRecord.of(shown.rows[0], shown)


VERBS = (
    Verb("move", bodies.MoveMember, lambda door: door.members.move),
    Verb("leave", bodies.MemberLeaves, lambda door: door.members.leave),
)
add_verbs(router, MEMBERS, VERBS)
