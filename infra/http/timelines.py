"""Histories over HTTP: of a record, a person, an actor, a time; and what differs between two moments."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.catalogue import AGGREGATES
from infra.http.clearing import check_readable
from infra.http.dependencies import HistoryPage
from infra.http.errors import READ_REFUSALS, Malformed, NotFound, ProcessingRestricted, documented
from infra.http.reading import (
    DECLARED,
    ListQuery,
    Page,
    Reading,
    ReadQuery,
    Seeing,
    broken_cursor,
    cursor_bytes,
    cursor_of,
    wait_for,
)
from infra.http.values import Moment
from projections import directory, pipeline, tickets
from projections.model import Row
from projections.timeline import EntryFilter, Order, Place, kind_of
from services.ports import NOTHING_STANDS, Ground, RecordNotFound

router = APIRouter(tags=["history"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Topic = Annotated[str, Field(max_length=80, pattern=r"^[a-z][a-z_]*\.[a-z][a-z_]*$", examples=["lead.won"])]
Kind = StrEnum("Kind", {kind: kind for kind in AGGREGATES})  # type: ignore[misc]


class ErasedValue(BaseModel):
    """Stands where a personal value was."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")

    erased: Literal[True] = True
    category: str = Field(examples=["identity"])


class FieldChange(BaseModel):
    """A field that changed; null: there was nothing, or there is nothing any more."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    field: str = Field(examples=["stage"])
    before: ErasedValue | Any = Field(serialization_alias="from", examples=["new"])
    after: ErasedValue | Any = Field(serialization_alias="to", examples=["engaged"])


class EffectOf(BaseModel):
    """An event that came of this one."""

    model_config = ConfigDict(from_attributes=True)

    event_id: UUID
    record_id: UUID
    position: int
    type: str


class HistoryEntry(BaseModel):
    """One event: what changed when, who did it for whom and why, by which request, and what came of it."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    event_id: UUID
    record_id: UUID
    version: int = Field(description="The record's version from this event on.")
    type: str = Field(examples=["lead.qualified"])
    occurred_at: Moment = Field(description="In the business's time.")
    recorded_at: Moment = Field(description="When we learnt of it.")
    actor: str
    on_behalf_of: str | None = Field(description="For whom the actor did it.")
    purpose: str | None = Field(description="The processing activity it served.")
    ground: Ground | None = Field(description="Why restricted data was processed all the same.")
    reason: str | ErasedValue | None
    correlation_id: UUID
    causation_id: UUID | None = Field(description="The `event_id` of what this came from.")
    command_id: UUID
    data: dict[str, Any] = Field(description="The public fields.")
    personal: dict[str, str | ErasedValue | None] = Field(description="The personal fields, unsealed.")
    changes: list[FieldChange] = Field(
        description="In the record. Of a record that no view shows: what the event says."
    )
    caused: list[EffectOf]
    restricted: bool = Field(description="Personal values are withheld: processing is restricted.")


class HistoryFilter(ListQuery):
    """Which events. Periods run from the first moment inside to the first one outside."""

    types: list[Topic] | None = Field(None, max_length=50, description="Only events of these types.")
    kinds: list[Kind] | None = Field(None, max_length=20, description="Only events of these kinds of record.")
    actor: UUID | None = Field(None, description="Only what this actor did.")
    on_behalf_of: UUID | None = Field(None, description="Only what was done for them.")
    recorded_from: AwareDatetime | None = None
    recorded_until: AwareDatetime | None = None
    occurred_from: AwareDatetime | None = None
    occurred_until: AwareDatetime | None = None

    def where(self, **more: Any) -> EntryFilter:
        """What the parameters say, and `more`."""
        said = {
            "topics": _topics(self.types, self.kinds),
            "actor": None if self.actor is None else str(self.actor),
            "on_behalf_of": None if self.on_behalf_of is None else str(self.on_behalf_of),
            "recorded_from": self.recorded_from,
            "recorded_until": self.recorded_until,
            "occurred_from": self.occurred_from,
            "occurred_until": self.occurred_until,
        }
        return EntryFilter(**said | more)

    def place(self, order: Order = Order.POSITION) -> Place | None:
        """Where the page before ended. Raises `Malformed`."""
        if self.cursor is None:
            return None
        key = cursor_bytes(self.cursor)
        if len(key) != (8 if order is Order.POSITION else 16) or key[0] > 127 or key[-8] > 127:
            raise broken_cursor()
        position = int.from_bytes(key[-8:], "big")
        if order is Order.POSITION:
            return Place(position)
        try:
            return Place(position, EPOCH + MICROSECOND * int.from_bytes(key[:8], "big"))
        except OverflowError:
            raise broken_cursor() from None


class PeriodAxis(StrEnum):
    """Which of an event's times: when we learnt of it, or when it happened."""

    RECORDED = "recorded"
    OCCURRED = "occurred"


class PeriodQuery(HistoryFilter):
    from_: AwareDatetime | None = Field(None, alias="from", description="The first moment inside.")
    to: AwareDatetime | None = Field(None, description="The first moment outside.")
    axis: PeriodAxis = Field(PeriodAxis.RECORDED, description="What the period is of, and the order.")

    def during(self) -> EntryFilter:
        """Raises `Malformed` where the period is said twice."""
        twice = {f"{self.axis}_from", f"{self.axis}_until"} & self.model_fields_set
        if twice:
            raise Malformed("Said by `from` and `to`.", field=min(twice), rule="said_twice")
        period = {f"{self.axis}_from": self.from_, f"{self.axis}_until": self.to}
        return self.where(**{name: value for name, value in period.items() if value is not None})


def _topics(types: Collection[str] | None, kinds: Collection[str] | None) -> frozenset[str] | None:
    of_kinds = None if kinds is None else {it.TOPIC for kind in kinds for it in AGGREGATES[kind]}
    if types is None:
        return None if of_kinds is None else frozenset(of_kinds)
    return frozenset(types) if of_kinds is None else frozenset(types) & of_kinds


def cursor_at(place: Place) -> str:
    """A place as a cursor. Times before 1970 stand at its beginning: none is recorded or told of before."""
    if place.moment is None:
        return cursor_of(place.position)
    micros = max((place.moment - EPOCH) // MICROSECOND, 0)
    return cursor_of(UUID(bytes=micros.to_bytes(8, "big") + place.position.to_bytes(8, "big")))


async def _told(reading: Reading, page: HistoryPage) -> Page[HistoryEntry]:
    await reading.note(page.subjects, page.categories, count=len(page.entries))
    return Page(
        items=[HistoryEntry.model_validate(it) for it in page.entries],
        next=None if page.next is None else cursor_at(page.next),
    )


async def check_unrestricted(reading: Reading, subject_id: UUID) -> bool:
    """Whether a ground is given. Raises `ProcessingRestricted` where one is needed and is not."""
    grounded = reading.declared.ground is not None
    standing = (await reading.door.ring.standings([subject_id])).get(subject_id, NOTHING_STANDS)
    if standing.restricted and not grounded:
        raise ProcessingRestricted
    return grounded


def _add_timeline(kind: str) -> None:
    async def read_timeline(
        id: Annotated[UUID, Path(description="The record's id.")],
        reading: Seeing,
        query: Annotated[HistoryFilter, Query()],
    ) -> Page[HistoryEntry]:
        """Every event of the record, in order. It goes on after an erasure: with what is erased left out.

        Without filters it comes from the log itself; with some, from an index that follows it (`at_least`).
        """
        door = reading.door
        await wait_for(door, query)
        first = await door.histories.first(id)
        if first is None or kind_of(first.event.TOPIC) != kind:
            raise NotFound
        grounded = await check_unrestricted(reading, first.event.record_subject)
        where = query.where(record_id=id)
        page = await door.timeline.page(where, after=query.place(), limit=query.limit, grounded=grounded)
        return await _told(reading, page)

    router.add_api_route(
        f"/v1/{kind}s/{{id}}/timeline",
        read_timeline,
        name=f"Read the timeline of a {kind}",
        operation_id=f"{kind}s_timeline",
        responses=documented(404, *READ_REFUSALS),
        openapi_extra=DECLARED,
    )


for _kind in ("customer", "lead", "ticket", "member", "subscriber"):
    _add_timeline(_kind)


@router.get("/v1/subjects/{id}/timeline", responses=documented(404, *READ_REFUSALS), openapi_extra=DECLARED)
async def read_subject_timeline(
    id: Annotated[UUID, Path(description="The data subject's id.")],
    reading: Seeing,
    query: Annotated[HistoryFilter, Query()],
) -> Page[HistoryEntry]:
    """Every event that names the person, in whatever record, in order of the log."""
    door = reading.door
    await wait_for(door, query)
    grounded = await check_unrestricted(reading, id)
    where = query.where(subject_id=id)
    page = await door.timeline.page(where, after=query.place(), limit=query.limit, grounded=grounded)
    if not page.entries and not await door.views.timeline.records(id):
        raise NotFound
    return await _told(reading, page)


@router.get("/v1/actors/{id}/timeline", responses=documented(*READ_REFUSALS), openapi_extra=DECLARED)
async def read_actor_timeline(
    id: Annotated[UUID, Path(description="Of a member or a service account.")],
    reading: Seeing,
    query: Annotated[HistoryFilter, Query()],
) -> Page[HistoryEntry]:
    """Every event that the actor caused, in order of the log. Values of restricted people are withheld."""
    await wait_for(reading.door, query)
    if query.actor is not None:
        raise Malformed("The address names the actor.", field="actor", rule="said_twice")
    where = query.where(actor=str(id))
    return await _told(
        reading, await reading.door.timeline.page(where, after=query.place(), limit=query.limit)
    )


@router.get("/v1/timeline", responses=documented(*READ_REFUSALS), openapi_extra=DECLARED)
async def read_period(reading: Seeing, query: Annotated[PeriodQuery, Query()]) -> Page[HistoryEntry]:
    """Everything that happened, or was recorded, in a time. Values of restricted people are withheld."""
    await wait_for(reading.door, query)
    order = Order(query.axis)
    page = await reading.door.timeline.page(
        query.during(), order=order, after=query.place(order), limit=query.limit
    )
    return await _told(reading, page)


class DiffAxis(StrEnum):
    """What the two moments are: of what was true, or of what we knew."""

    AS_OF = "as_of"
    KNOWN_AT = "known_at"


class DiffQuery(ReadQuery):
    from_: AwareDatetime = Field(alias="from", examples=["2026-03-01T00:00:00Z"])
    to: AwareDatetime = Field(examples=["2026-04-01T00:00:00Z"])
    axis: DiffAxis = Field(DiffAxis.AS_OF, description="What was true at both moments, or what we knew.")


class Difference(BaseModel):
    """A record at two moments, field by field; version 0: it was not there yet."""

    id: UUID
    axis: DiffAxis
    from_: Moment = Field(serialization_alias="from")
    to: Moment
    version_from: int
    version_to: int
    changes: list[FieldChange]


PROJECTIONS: Mapping[str, Any] = {
    "customer": (directory.project, directory.CustomerRow),
    "lead": (pipeline.project, pipeline.LeadRow),
    "ticket": (tickets.project, tickets.TicketRow),
}


def _add_diff(kind: str) -> None:
    async def read_difference(
        id: Annotated[UUID, Path(description="The record's id.")],
        reading: Seeing,
        query: Annotated[DiffQuery, Query()],
    ) -> Difference:
        """In what the record differs between two moments, on either axis of its history."""
        await wait_for(reading.door, query)
        before, after = await _at_both(reading, kind, id, query)
        row = after or before
        if row is None:
            raise RecordNotFound(id)
        standing = (await reading.door.ring.standings([row.subject_id])).get(row.subject_id, NOTHING_STANDS)
        check_readable(reading, standing, f"/v1/{kind}s/{id}/timeline")
        grounded = reading.declared.ground is not None
        found, subjects, categories = await reading.door.timeline.differences(
            before, after, grounded=grounded
        )
        await reading.note(subjects, categories, count=1)
        return Difference(
            id=id,
            axis=query.axis,
            from_=query.from_,
            to=query.to,
            version_from=before.version if before else 0,
            version_to=after.version if after else 0,
            changes=[FieldChange.model_validate(it) for it in found],
        )

    router.add_api_route(
        f"/v1/{kind}s/{{id}}/diff",
        read_difference,
        name=f"Compare a {kind} at two moments",
        operation_id=f"{kind}s_diff",
        responses=documented(404, 410, *READ_REFUSALS),
        openapi_extra=DECLARED,
    )


async def _at_both(reading: Reading, kind: str, id: UUID, query: DiffQuery) -> Sequence[Row | None]:
    project, row_class = PROJECTIONS[kind]
    rows = []
    for moment in (query.from_, query.to):
        times = {"as_of": None, "known_at": None, str(query.axis): moment}
        row = await reading.door.histories.as_of(project, id, **times)
        rows.append(row if isinstance(row, row_class) else None)
    return rows


for _kind in PROJECTIONS:
    _add_diff(_kind)
