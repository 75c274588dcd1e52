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
    ReadQuery,
    SearchQuery,
    Seeing,
    etag,
    filter_of,
    next_page,
    wait_for,
)
from infra.http.records import MemberRecord
from infra.http.sending import Kind, send_row, send_rows
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


MEMBER: Kind[MemberRow] = Kind(
    "members", member=lambda row: row.manager_id, model=MemberRecord, facts=MemberRecord.facts
)


@router.get(
    MEMBERS, response_model=Page[MemberRecord], responses=documented(*READ_REFUSALS), openapi_extra=DECLARED
)
async def list_members(reading: Seeing, query: Annotated[MemberQuery, Query()]) -> Response:
    """Members in order of id, filtered by field; or found by name, with `q`."""
    query.check_alone()
    await wait_for(reading.door, query)
    directory = reading.door.views.directory
    if query.q is not None:
        ids = await reading.door.names.search(query.q, kind="member", limit=query.limit)
        return await send_rows(reading, MEMBER, await directory.members(ids))
    rows = await directory.list_members(query.where(), limit=query.limit, after=query.after())
    return await send_rows(reading, MEMBER, rows, next_page(rows, query.limit))


@router.get(
    f"{MEMBERS}/{{id}}",
    response_model=MemberRecord,
    responses=documented(*RECORD_REFUSALS),
    openapi_extra=DECLARED,
)
async def read_member(id: RecordId, reading: Seeing, query: Annotated[ReadQuery, Query()]) -> Response:
    """The member as things stand."""
    await wait_for(reading.door, query)
    row = await reading.door.views.directory.member(id)
    if row is None:
        raise RecordNotFound(id)
    return await send_row(reading, MEMBER, row, etag(row))


VERBS = (
    Verb("move", bodies.MoveMember, lambda door: door.members.move),
    Verb("leave", bodies.MemberLeaves, lambda door: door.members.leave),
)
add_verbs(router, MEMBERS, VERBS)
