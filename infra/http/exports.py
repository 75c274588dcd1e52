"""Exports over HTTP: streamed, recorded in the log, and proven by a signed note."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response, StreamingResponse
from uuid_utils.compat import uuid7

from domain.export.events import ExportAborted, ExportBegun, ExportMade
from domain.values import ExportFormat
from infra import json
from infra.history.exporting import Batch, Exporting, Wanted
from infra.http import analytics, customers, leads, tickets  # noqa: F401 - each makes its views known
from infra.http.auth import Reader
from infra.http.clearing import clear
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, Malformed, NotYetVisible, documented
from infra.http.reading import DECLARED, POSITION_MAX, WAIT_SECONDS_MAX, Reading, Seeing
from infra.http.replaying import VIEWS, AxesQuery, RowsFound, TwoAxes
from infra.http.timelines import HistoryEntry, HistoryFilter, PeriodQuery, check_unrestricted
from infra.http.values import Moment
from projections.timeline import EntryFilter, Order, Place
from services.ports import CommandContext

router = APIRouter(prefix="/v1/exports", tags=["exports"])
PAGE: Final = 200
MANIFEST_SECONDS_MAX: Final = 5.0
PAGING: Final = frozenset({"limit", "cursor", "at_least", "q"})
SUFFIXES: Final = {it: it.value for it in ExportFormat}


class Exported(StrEnum):
    """What can be exported: histories, or a view by name."""

    TIMELINE = "timeline"
    RECORD_TIMELINE = "record-timeline"
    SUBJECT_TIMELINE = "subject-timeline"
    ACTOR_TIMELINE = "actor-timeline"
    VIEW = "view"


class ExportBody(BaseModel):
    """What to export, by which filters, and how it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: Exported
    id: UUID | None = Field(None, description="Of the record, the data subject or the actor.")
    view: str | None = Field(
        None, description="The view's name, such as `pipeline` or `tickets`.", examples=["pipeline"]
    )
    filters: dict[str, Any] = Field(
        {}, description="As the parameters of the same read: also `from`, `to`, `as_of`, `known_at`."
    )
    format: Literal[ExportFormat.JSONL, ExportFormat.CSV, ExportFormat.HTML] = ExportFormat.JSONL


class ExportRecord(BaseModel):
    """An export as the log has it. `state`: begun (goes on, or was cut off by a crash), made or aborted."""

    id: UUID
    state: str = Field(examples=["made"])
    what: str
    filters: dict[str, str]
    format: ExportFormat
    exported_subject_id: UUID | None
    covered_position: int = Field(description="The log up to there was looked at.")
    actor: str
    begun_at: Moment
    ended_at: Moment | None
    count: int | None = Field(description="How many items were handed over; of an aborted one, at most.")
    byte_count: int | None
    sha256: str | None = Field(description="Of the bytes, in hex; of a report, of those before its proof.")


class Plan(BaseModel):
    """What was asked for, checked."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    wanted: Wanted
    where: EntryFilter | None = None
    order: Order = Order.POSITION
    view: TwoAxes | None = None
    query: AxesQuery | None = None


def plan_of(body: ExportBody) -> Plan:
    """Raises `Malformed` or `RequestValidationError`."""
    if given := PAGING & body.filters.keys():
        raise Malformed(
            "An export takes no such filter.", field=f"filters.{min(given)}", rule="extra_forbidden"
        )
    if body.what is Exported.VIEW:
        return _plan_of_view(body)
    if body.view is not None:
        raise Malformed("Only `what`: `view` takes one.", field="view", rule="extra_forbidden")
    if (body.id is None) is not (body.what is Exported.TIMELINE):
        raise Malformed("Say whose history, or leave it out for that of everybody.", field="id", rule="id")
    said = _said(body.filters)
    if body.what is Exported.TIMELINE:
        period = _checked(PeriodQuery, body.filters)
        wanted = Wanted("timeline", said, body.format)
        return Plan(wanted=wanted, where=period.during(), order=Order(period.axis))
    query = _checked(HistoryFilter, body.filters)
    subject = body.id if body.what is Exported.SUBJECT_TIMELINE else None
    wanted = Wanted(body.what.value, {"id": str(body.id), **said}, body.format, subject)
    named: dict[Exported, dict[str, Any]] = {
        Exported.RECORD_TIMELINE: {"record_id": body.id},
        Exported.SUBJECT_TIMELINE: {"subject_id": body.id},
        Exported.ACTOR_TIMELINE: {"actor": str(body.id)},
    }
    return Plan(wanted=wanted, where=query.where(**named[body.what]))


def _plan_of_view(body: ExportBody) -> Plan:
    view = VIEWS.get(body.view or "")
    if view is None:
        raise Malformed(f"One of: {', '.join(sorted(VIEWS))}.", field="view", rule="enum")
    if body.id is not None:
        raise Malformed("A view is narrowed by its filters.", field="id", rule="extra_forbidden")
    limit = {"limit": PAGE} if "limit" in view.query.model_fields else {}
    query = _checked(view.query, {**body.filters, **limit})
    return Plan(wanted=Wanted(view.name, _said(body.filters), body.format), view=view, query=query)


def _checked(kind: Any, filters: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate_json(json.encode(filters))
    except ValidationError as error:
        found = [{**it, "loc": ("body", "filters", *it["loc"])} for it in error.errors(include_url=False)]
        raise RequestValidationError(found) from None


def _said(filters: Mapping[str, Any]) -> dict[str, str]:
    return {name: it if isinstance(it, str) else json.encode(it).decode() for name, it in filters.items()}


Progress = Callable[[int, int], None]


async def exporting_of(
    reading: Reading, plan: Plan, progress: Progress = lambda done, total: None
) -> tuple[Exporting, AsyncIterator[Batch]]:
    """The export, recorded as begun, and what it is made of. Raises `ProcessingRestricted`."""
    door, subject_id = reading.door, plan.wanted.exported_subject_id
    grounded = False if subject_id is None else await check_unrestricted(reading, subject_id)
    covered = await door.reader.end()
    if not await door.views.wait_for(covered, WAIT_SECONDS_MAX):
        raise NotYetVisible
    id = uuid7()
    exporting = Exporting(
        id,
        plan.wanted,
        exports=door.exports,
        proofs=door.manifests,
        context_of=lambda: context_of(reading),
        note=lambda subjects, categories, count: reading.note(
            subjects, categories, count=count, export_id=id
        ),
        covered_position=covered,
    )
    await exporting.begin()
    return exporting, batches_of(door, plan, progress, covered=covered, grounded=grounded)


def batches_of(
    door: Dependencies,
    plan: Plan,
    progress: Progress = lambda done, total: None,
    *,
    covered: int = POSITION_MAX,
    grounded: bool = False,
) -> AsyncIterator[Batch]:
    """What the export is made of. Whoever hands it on notes who is shown whose values."""
    if plan.where is not None:
        return _histories(door, plan.where, plan.order, covered, progress, grounded=grounded)
    assert plan.view is not None  # noqa: S101 - a plan is of one or the other
    assert plan.query is not None  # noqa: S101
    return _view(door, plan.view, plan.query, progress)


def context_of(reading: Reading) -> CommandContext:
    """What the log says of who exports."""
    return CommandContext(
        command_id=uuid7(),
        request_digest=b"",  # nobody can repeat it: nothing to tell apart
        actor=str(reading.token.actor_id),
        occurred_at=reading.door.clock.now(),
        correlation_id=reading.correlation_id,
        on_behalf_of=reading.declared.on_behalf_of,
        purpose=reading.declared.purpose,
        ground=reading.declared.ground,
    )


async def _histories(
    door: Dependencies,
    where: EntryFilter,
    order: Order,
    covered: int,
    progress: Progress,
    *,
    grounded: bool,
) -> AsyncIterator[Batch]:
    bounded = replace(where, position_max=covered)
    after: Place | None = None
    while True:
        page = await door.timeline.page(bounded, order=order, after=after, limit=PAGE, grounded=grounded)
        items = [
            HistoryEntry.model_validate(it).model_dump(mode="json", by_alias=True) for it in page.entries
        ]
        yield Batch(items, page.subjects, page.categories)
        if order is Order.POSITION and page.next is not None:
            progress(page.next.position, covered)
        if (after := page.next) is None:
            return


async def _view(
    door: Dependencies, view: TwoAxes, query: AxesQuery, progress: Progress
) -> AsyncIterator[Batch]:
    moment = query.as_of or door.clock.now()
    views = door.views
    if query.of_another_time:
        views = await door.replays.views(view.kinds, query.as_of, query.known_at, progress)
    while True:
        found = await view.compute(views, query, moment)
        if not isinstance(found, RowsFound):
            yield Batch(_items(found))
            return
        yield await _opened(door, view, found, moment)
        if found.next is None:
            return
        query = query.model_copy(update={"cursor": found.next})


def _items(found: BaseModel) -> list[dict[str, Any]]:
    """The parts of a list or of a table, else the whole."""
    said = found.model_dump(mode="json", by_alias=True)
    parts: list[dict[str, Any]] = said.get("items") or said.get("stages") or said.get("steps") or [said]
    return parts


async def _opened(door: Dependencies, view: TwoAxes, found: RowsFound, moment: datetime) -> Batch:
    assert view.kind is not None  # noqa: S101 - lists say which
    kind = view.kind(moment)
    shown, seen = await clear(door, found.rows, [kind.member(row) for row in found.rows], grounded=False)
    items = [kind.record(row, shown).model_dump(mode="json", by_alias=True) for row in shown.rows]
    return Batch(items, seen.subjects(), seen.categories())


@router.post(
    "",
    response_class=StreamingResponse,
    response_model=None,
    responses={
        200: {
            "description": "The export; `Lethe-Export` names it. Its proof: `/v1/exports/{id}/manifest`.",
            "content": {
                it: {"schema": {"type": "string"}} for it in ("application/jsonl", "text/csv", "text/html")
            },
        },
        **documented(400, 413, 415, *READ_REFUSALS),
    },
    openapi_extra=DECLARED,
)
async def export(body: ExportBody, reading: Seeing) -> Response:
    """Export a history or a view. Streamed, and recorded in the log: begun, then made, or aborted.

    CSV: a text that a spreadsheet would take for a formula gets an apostrophe in front. Restricted people's
    values are withheld, unless it is one person's own history and a ground is given.
    """
    plan = plan_of(body)
    exporting, batches = await exporting_of(reading, plan)
    name = f"{plan.wanted.what}-{exporting.id}.{SUFFIXES[body.format]}"
    headers = {
        "Lethe-Export": str(exporting.id),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Link": f'</v1/exports/{exporting.id}/manifest>; rel="describedby"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(exporting.parts(batches), headers=headers, media_type=exporting.media_type)


ExportId = Annotated[UUID, Path(description="The export's id.")]


@router.get("/{id}", responses=documented(404, *READ_REFUSALS))
async def read_export(id: ExportId, door: Door, token: Reader) -> ExportRecord:
    """What was exported, by whom, and how it ended."""
    begun, ended = await door.manifests.history(id)
    event = begun.event
    assert isinstance(event, ExportBegun)  # noqa: S101 - every export begins so
    told = {name: getattr(event, name) for name in WHAT}
    outcome = None if ended is None else ended.event
    state = {ExportMade: "made", ExportAborted: "aborted"}.get(type(outcome), "begun")  # type: ignore[arg-type]
    return ExportRecord(
        id=id,
        state=state,
        actor=begun.envelope.actor,
        begun_at=begun.envelope.recorded_at,
        ended_at=None if ended is None else ended.envelope.recorded_at,
        count=getattr(outcome, "count", None),
        byte_count=getattr(outcome, "byte_count", None),
        sha256=getattr(outcome, "sha256", None),
        **told,
    )


WHAT: Final = ("what", "filters", "format", "exported_subject_id", "covered_position")


@router.get(
    "/{id}/manifest",
    response_class=Response,
    responses={
        200: {"description": "A signed note.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented(404, 409, *READ_REFUSALS),
    },
)
async def read_manifest(id: ExportId, door: Door, token: Reader) -> Response:
    """The export's proof: its digest, and the way from it to a signed checkpoint of the log.

    Check it with the file and the log's key, offline: `/v1/audit/verifier.py`.
    """
    manifest = await door.manifests.manifest(id, patience=MANIFEST_SECONDS_MAX)
    if manifest is None:
        raise NotYetVisible
    return Response(manifest, media_type="text/plain; charset=utf-8")
