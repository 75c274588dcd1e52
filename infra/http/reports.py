"""Reports over HTTP: how far a view of another time is, its answer once it is made, and leaving off."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from starlette.responses import Response

from infra.history.reports import Report, ReportState
from infra.http.auth import Reader
from infra.http.dependencies import Dependencies, Door
from infra.http.errors import READ_REFUSALS, NotFound, Refusal, documented
from infra.http.reading import DECLARED, Seeing
from infra.http.replaying import ACCEPTED, ReportRecord, accepted, record_of, result_of, start_again

router = APIRouter(prefix="/v1/reports", tags=["history"])
ReportId = Annotated[UUID, Path(description="The report's id.")]


class ReportNotMade(Refusal):
    """The report was cancelled, or could not be made: there is no answer."""

    status = 409


async def _found(door: Dependencies, id: UUID) -> Report:
    report = await door.reports.find(id)
    if report is None:
        raise NotFound
    if report.state is ReportState.RUNNING and await door.reports.adopt(id):
        # The process that worked on it is gone.
        start_again(door, report)
    return report


@router.get("/{id}", responses=documented(404, *READ_REFUSALS))
async def read_report(id: ReportId, door: Door, token: Reader) -> ReportRecord:
    """How far it is. Kept for a week. One that an interruption left is started again by whoever asks."""
    return record_of(await _found(door, id))


@router.get(
    "/{id}/result",
    response_model=None,
    responses={
        200: {"description": "What the view answers.", "content": {"application/json": {"schema": {}}}},
        **ACCEPTED,
        **documented(404, 409, *READ_REFUSALS),
    },
    openapi_extra=DECLARED,
)
async def read_report_result(id: ReportId, reading: Seeing) -> Any:
    """The answer, in the form of the view's own; 202 while it is not there yet.

    Personal values are opened now, for who reads it now: who was erased meanwhile is erased here, too.
    """
    report = await _found(reading.door, id)
    if report.state is ReportState.RUNNING:
        return accepted(report)
    result = await reading.door.reports.result(id)
    if result is None:
        raise ReportNotMade
    return await result_of(reading, report, result)


@router.delete("/{id}", status_code=204, responses=documented(404, *READ_REFUSALS))
async def cancel_report(id: ReportId, door: Door, token: Reader) -> Response:
    """Leave off making it. One that is made already stays."""
    if await door.reports.find(id) is None:
        raise NotFound
    await door.reports.end(id, ReportState.CANCELLED)
    return Response(status_code=204)
