"""The access log over HTTP: who looked at whom."""

from typing import Annotated, Any
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
from infra.unusual import Measure

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
        place = place_of(self.cursor)
        return place >> LINE_BITS, place & (1 << LINE_BITS) - 1


def place_of(cursor: str) -> int:
    """The number in a cursor. Raises `Malformed`."""
    key = cursor_bytes(cursor)
    if len(key) != 8 or key[0] > 127:
        raise broken_cursor()
    return int.from_bytes(key, "big")


class AccessRecord(BaseModel):
    """One act of seeing personal data: who, what for, whose, and where it stands in the audit tree."""

    model_config = ConfigDict(from_attributes=True)

    at: Moment
    actor: UUID = Field(description="The pseudonym of who saw it.")
    subscriber: str | None = Field(description="The name of the subscriber that it was, if it was one.")
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
    def of(cls, kept: Kept, subscriber: str | None) -> "AccessRecord":
        place = {"batch": kept.batch, "line": kept.line, "subscriber": subscriber}
        fields = {name: getattr(kept.access, name) for name in cls.model_fields.keys() - place.keys()}
        return cls.model_validate(fields | place)


async def _page(door: Dependencies, where: AccessFilter, query: AccessQuery) -> Page[AccessRecord]:
    kept = await door.accesses.store.find(where, limit=query.limit, before=query.before())
    last = cursor_of(kept[-1].batch << LINE_BITS | kept[-1].line) if len(kept) == query.limit else None
    names = await door.views.subscribers.names({it.access.actor for it in kept})
    return Page(items=[AccessRecord.of(it, names.get(it.access.actor)) for it in kept], next=last)


class UnusualQuery(Parameters):
    limit: int = Field(50, ge=1, le=200, description="How many items at most.")
    cursor: str | None = Field(
        None, max_length=64, description="Where to go on: the `next` of the last answer."
    )


class UnusualRecord(BaseModel):
    """More than is usual for an actor, told from the actor's own past."""

    model_config = ConfigDict(from_attributes=True)

    actor: UUID
    measure: Measure = Field(
        description="Per hour: pages, people; at an hour of the day that is unheard of. Per day: people."
    )
    since: Moment = Field(description="When the hour or day began.")
    measured: int
    usual: float = Field(description="The median of the last 28 days.")
    limit: float = Field(description="The most that would have been usual.")
    found_at: Moment

    @classmethod
    def of(cls, finding: Any) -> "UnusualRecord":
        it = finding.unusual
        return cls(
            actor=it.actor_id,
            measure=it.measure,
            since=it.since,
            measured=it.measured,
            usual=it.usual,
            limit=it.limit,
            found_at=finding.found_at,
        )


@router.get("/v1/accesses/unusual", responses=documented(*READ_REFUSALS))
async def list_unusual_accesses(
    door: Door, token: Comply, query: Annotated[UnusualQuery, Query()]
) -> Page[UnusualRecord]:
    """Who was shown more than they usually are, in an hour or a day, or at an hour unheard of; newest first.

    Looked for every five minutes by the scheduler; an actor of fewer than five active days is not judged.
    """
    before = None if query.cursor is None else place_of(query.cursor)
    found = await door.unusual.found(limit=query.limit, before=before)
    last = cursor_of(found[-1].number) if len(found) == query.limit else None
    return Page(items=[UnusualRecord.of(it) for it in found], next=last)


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
