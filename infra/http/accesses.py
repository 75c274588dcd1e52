"""The access log over HTTP: who looked at whom."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.model import Category
from infra.accesslog import AccessFilter, Kept
from infra.http.auth import Comply
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, documented
from infra.http.reading import Page, broken_cursor, cursor_bytes, cursor_of
from infra.http.reading import Query as Parameters
from infra.http.values import Moment

router = APIRouter(tags=["accesses"])
LINE_BITS = 16


class AccessQuery(Parameters):
    since: Moment | None = Field(None, description="From this moment on.", examples=["2026-03-01T00:00:00Z"])
    until: Moment | None = Field(None, description="Before this moment.", examples=["2026-04-01T00:00:00Z"])
    limit: int = Field(50, ge=1, le=200, description="How many items at most.")
    cursor: str | None = Field(
        None, max_length=64, description="Where to go on: the `next` of the last answer."
    )

    def before(self) -> tuple[int, int] | None:
        """The place of the last access of the page before. Raises `Malformed`."""
        if self.cursor is None:
            return None
        key = cursor_bytes(self.cursor)
        if len(key) != 8 or key[0] > 127:
            raise broken_cursor()
        place = int.from_bytes(key, "big")
        return place >> LINE_BITS, place & (1 << LINE_BITS) - 1


class AccessRecord(BaseModel):
    """One act of seeing personal data: who, what for, whose, and where it stands in the audit tree."""

    model_config = ConfigDict(from_attributes=True)

    at: Moment
    actor: UUID = Field(description="The pseudonym of who saw it.")
    token_id: UUID | None
    on_behalf_of: UUID | None
    operation: str = Field(examples=["read_customer"])
    purpose: str | None
    ground: str | None
    network: str | None = Field(description="Where from, coarsened.", examples=["192.0.2.0/24"])
    categories: list[Category] = Field(description="What kinds of personal data were shown.")
    count: int = Field(description="How many records were shown.")
    subject_count: int = Field(description="How many people's data that was.")
    everyone: bool = Field(description="They were too many to name.")
    export_id: UUID | None
    correlation_id: UUID | None
    batch: int = Field(description="The number of its leaf in the audit tree of accesses.")
    line: int = Field(description="Its place in that leaf.")

    @classmethod
    def of(cls, kept: Kept) -> "AccessRecord":
        fields = {name: getattr(kept.access, name) for name in cls.model_fields.keys() - {"batch", "line"}}
        return cls.model_validate(fields | {"batch": kept.batch, "line": kept.line})


async def _page(door: Dependencies, where: AccessFilter, query: AccessQuery) -> Page[AccessRecord]:
    kept = await door.accesses.store.find(where, limit=query.limit, before=query.before())
    last = cursor_of(kept[-1].batch << LINE_BITS | kept[-1].line) if len(kept) == query.limit else None
    return Page(items=[AccessRecord.of(it) for it in kept], next=last)


@router.get("/v1/subjects/{id}/accesses", responses=documented(*READ_REFUSALS))
async def read_subject_accesses(
    id: Annotated[UUID, Path(description="The data subject's id.")],
    door: Door,
    token: Comply,
    query: Annotated[AccessQuery, Query()],
) -> Page[AccessRecord]:
    """Who looked at me? Everybody who was shown the person's data, the newest first; a second behind at most.

    Exports and reports of everyone are not among them: they name nobody. `GET /v1/accesses` has them.
    """
    return await _page(door, AccessFilter(subject_id=id, since=query.since, until=query.until), query)


@router.get("/v1/actors/{id}/accesses", responses=documented(*READ_REFUSALS))
async def read_actor_accesses(
    id: Annotated[UUID, Path(description="The actor's pseudonym.")],
    door: Door,
    token: Comply,
    query: Annotated[AccessQuery, Query()],
) -> Page[AccessRecord]:
    """What an actor was shown, or was shown on their behalf, the newest first."""
    return await _page(door, AccessFilter(actor_id=id, since=query.since, until=query.until), query)


@router.get("/v1/accesses", responses=documented(*READ_REFUSALS))
async def list_accesses(
    door: Door, token: Comply, query: Annotated[AccessQuery, Query()]
) -> Page[AccessRecord]:
    """Everything that was shown to anybody, the newest first."""
    return await _page(door, AccessFilter(since=query.since, until=query.until), query)
