"""Histories over HTTP: every event of a record, or about a person, in order."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from infra.http.auth import Reader
from infra.http.dependencies import Door
from infra.http.errors import READ_REFUSALS, NotFound, documented
from infra.http.reading import ListQuery, Page, cursor_of, wait_for
from infra.http.values import Moment

router = APIRouter(tags=["history"])


class ErasedValue(BaseModel):
    """Stands where a personal value was."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")

    erased: Literal[True] = True
    category: str = Field(examples=["identity"])


class HistoryEntry(BaseModel):
    """One event: what happened when, who did it and why, and what it said."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    record_id: UUID
    version: int = Field(description="The record's version from this event on.")
    type: str = Field(examples=["lead.qualified"])
    occurred_at: Moment = Field(description="In the business's time.")
    recorded_at: Moment = Field(description="When we learnt of it.")
    actor: str
    reason: str | ErasedValue | None
    correlation_id: UUID
    causation_id: UUID | None
    command_id: UUID
    data: dict[str, Any] = Field(description="The public fields.")
    personal: dict[str, str | ErasedValue | None] = Field(description="The personal fields, unsealed.")


def _add_timeline(kind: str) -> None:
    async def read_timeline(
        id: Annotated[UUID, Path(description="The record's id.")],
        door: Door,
        token: Reader,
        query: Annotated[ListQuery, Query()],
    ) -> Page[HistoryEntry]:
        """Every event of the record, in order. It goes on after an erasure: with what is erased left out."""
        await wait_for(door, query)
        entries = await door.timeline.of_record(id, after=query.position(), limit=query.limit)
        if any(it.type.partition(".")[0] != kind for it in entries[:1]):
            raise NotFound
        if not entries and query.cursor is None:
            raise NotFound
        return _page(entries, query.limit)

    router.add_api_route(
        f"/v1/{kind}s/{{id}}/timeline",
        read_timeline,
        name=f"Read the timeline of a {kind}",
        operation_id=f"{kind}s_timeline",
        responses=documented(404, *READ_REFUSALS),
    )


for _kind in ("customer", "lead", "ticket", "member"):
    _add_timeline(_kind)


@router.get("/v1/subjects/{id}/timeline", responses=documented(404, *READ_REFUSALS))
async def read_subject_timeline(
    id: Annotated[UUID, Path(description="The data subject's id.")],
    door: Door,
    token: Reader,
    query: Annotated[ListQuery, Query()],
) -> Page[HistoryEntry]:
    """Every event that names the person, in whatever record, in order of the log."""
    await wait_for(door, query)
    entries = await door.timeline.of_subject(id, after=query.position(), limit=query.limit)
    if not entries and query.cursor is None:
        raise NotFound
    return _page(entries, query.limit)


def _page(entries: Sequence[Any], limit: int) -> Page[HistoryEntry]:
    goes_on = cursor_of(entries[-1].position) if len(entries) == limit else None
    return Page(items=[HistoryEntry.model_validate(it) for it in entries], next=goes_on)
