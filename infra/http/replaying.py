"""Views on two axes: as of a time, as far as was known at one; at once, or as a report where it takes long.

A view says once how it is computed from views and how the result is shown; the same serves what stands now,
what stood then, a report of it, and the command line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response
from uuid_utils.compat import uuid7

from infra import json
from infra.history.reports import BEAT_SECONDS, Report, ReportState
from infra.http.dependencies import Dependencies
from infra.http.reading import Reading, ReadQuery, next_page, wait_for
from infra.http.sending import Kind, send_rows
from infra.http.values import Moment
from projections.model import Project, Row
from projections.views import Views

log = structlog.get_logger(__name__)


class AxesQuery(ReadQuery):
    """A read that may be of another time."""

    as_of: AwareDatetime | None = Field(
        None, description="Show what was true then.", examples=["2026-03-01T00:00:00Z"]
    )
    known_at: AwareDatetime | None = Field(
        None, description="Show it as far as was recorded at this moment.", examples=["2026-03-01T00:00:00Z"]
    )

    @property
    def of_another_time(self) -> bool:
        return self.as_of is not None or self.known_at is not None


@dataclass(frozen=True, slots=True)
class RowsFound:
    """A page of rows, nothing opened, and where the list goes on."""

    rows: Sequence[Row]
    next: str | None

    @classmethod
    def page(cls, rows: Sequence[Row], limit: int) -> "RowsFound":
        return cls(rows, next_page(rows, limit))


Compute = Callable[[Views, Any, datetime], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class TwoAxes:
    """A view: the kinds of record it is made of, and how it is computed from views at a moment.

    A list computes `RowsFound`, and says as what kind of record its rows are sent (as of a moment) and by
    what projection they are made; what totals computes its answer.
    """

    name: str
    kinds: tuple[str, ...]
    query: type[AxesQuery]
    compute: Compute
    kind: Callable[[datetime], Kind[Any]] | None = None
    project: Project[Any] | None = None


VIEWS: Final[dict[str, TwoAxes]] = {}
"""Those that there are, by name: each router adds its own."""


def two_axes(view: TwoAxes) -> TwoAxes:
    VIEWS[view.name] = view
    return view


async def answer(reading: Reading, view: TwoAxes, query: AxesQuery) -> Any:
    """What the query asks of the view: now, as of a time; or 202 and a report, where that takes long."""
    door = reading.door
    if not query.of_another_time:
        await wait_for(door, query)
        now = door.clock.now()
        return await shown(reading, view, await view.compute(door.views, query, now), now)
    moment = query.as_of or door.clock.now()
    work = Making(door, view, query, moment)
    task = asyncio.create_task(work.compute(), name=f"replay {view.name}")
    try:
        done, _ = await asyncio.wait([task], timeout=door.patience_seconds)
        if not done:
            return accepted(await work.become_report(task, str(reading.token.actor_id)))
    except BaseException:
        # Nobody waits for it any more.
        task.cancel()
        raise
    return await shown(reading, view, task.result(), moment)


async def shown(reading: Reading, view: TwoAxes, found: Any, moment: datetime) -> Any:
    """What was computed, opened for the reader."""
    if not isinstance(found, RowsFound):
        return found
    assert view.kind is not None  # noqa: S101 - lists say which
    return await send_rows(reading, view.kind(moment), found.rows, found.next)


@dataclass(slots=True)
class Making:
    """A view of another time while it is made; a report of it, once it takes long."""

    door: Dependencies
    view: TwoAxes
    query: AxesQuery
    moment: datetime
    done: int = 0
    total: int = 0

    async def compute(self) -> Any:
        views = await self.door.replays.views(
            self.view.kinds, self.query.as_of, self.query.known_at, self._progress
        )
        return await self.view.compute(views, self.query, self.moment)

    def _progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    async def become_report(self, task: "asyncio.Task[Any]", actor: str) -> Report:
        asked = json.decode(self.query.model_dump_json(exclude_none=True))
        report = Report(
            uuid7(), self.view.name, asked, actor, self.door.clock.now(), done=self.done, total=self.total
        )
        await self.door.reports.begin(report)
        self.follow(report, task)
        return report

    def follow(self, report: Report, task: "asyncio.Task[Any]") -> None:
        """Go on with the report behind the answer."""
        following = asyncio.create_task(self._follow(report, task), name=f"report {report.id}")
        _following.add(following)
        following.add_done_callback(_following.discard)

    async def _follow(self, report: Report, task: "asyncio.Task[Any]") -> None:
        reports = self.door.reports
        try:
            while not (await asyncio.wait([task], timeout=BEAT_SECONDS))[0]:
                if not await reports.beat(report.id, self.done, self.total):
                    return
            if (error := task.exception()) is not None:
                log.error("report_failed", report=report.id, exc_info=error)
                await reports.end(report.id, ReportState.FAILED)
                return
            await reports.beat(report.id, self.done, self.total)
            await reports.finish(report.id, _kept(task.result(), self.moment))
        finally:
            task.cancel()


_following: Final[set["asyncio.Task[None]"]] = set()


def _kept(found: Any, moment: datetime) -> Mapping[str, Any]:
    """What of a result is stored: totals as they are, of a list the ids of its rows."""
    said: dict[str, Any] = {"moment": moment}
    if isinstance(found, RowsFound):
        said |= {"ids": [row.id for row in found.rows], "next": found.next}
    else:
        assert isinstance(found, BaseModel)  # noqa: S101
        said |= {"answer": found.model_dump(mode="json", by_alias=True)}
    plain: Mapping[str, Any] = json.decode(json.encode(said))
    return plain


def start_again(door: Dependencies, report: Report) -> None:
    """Make a report anew that nobody works on any more."""
    view = VIEWS[report.view]
    query = view.query.model_validate(report.asked)
    making = Making(door, view, query, query.as_of or report.asked_at)
    making.follow(report, asyncio.create_task(making.compute(), name=f"replay {view.name}"))


async def result_of(reading: Reading, report: Report, result: Mapping[str, Any]) -> Any:
    """The answer of a report that is done. The rows of a list are folded again, one by one, and opened."""
    if "answer" in result:
        return result["answer"]
    view = VIEWS[report.view]
    query = view.query.model_validate(report.asked)
    # What was recorded since the report was asked for is no part of it.
    known_at = min(it for it in (query.known_at, report.asked_at) if it is not None)
    rows = [
        await reading.door.histories.as_of(view.project, UUID(id), as_of=query.as_of, known_at=known_at)  # type: ignore[arg-type]
        for id in result["ids"]
    ]
    found = RowsFound([row for row in rows if row is not None], result["next"])
    return await shown(reading, view, found, datetime.fromisoformat(result["moment"]))


class ReportRecord(BaseModel):
    """A view of another time that takes a while: `done` of `total`, in positions of the log."""

    id: UUID
    view: str = Field(examples=["pipeline"])
    asked_at: Moment
    state: ReportState
    done: int
    total: int
    result: str | None = Field(description="Where the answer is, once it is done.")


def record_of(report: Report) -> ReportRecord:
    path = f"/v1/reports/{report.id}/result" if report.state is ReportState.DONE else None
    return ReportRecord(
        id=report.id,
        view=report.view,
        asked_at=report.asked_at,
        state=report.state,
        done=report.done,
        total=report.total,
        result=path,
    )


def accepted(report: Report) -> Response:
    """202: the report, and where to ask how far it is."""
    headers = {"Location": f"/v1/reports/{report.id}", "Retry-After": "1"}
    body = record_of(report).model_dump_json().encode()
    return Response(body, 202, headers, media_type="application/json")


ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": ReportRecord,
        "description": "It takes longer than 5 s: how far it is says the report at `Location`.",
        "headers": {
            "Location": {"description": "The report.", "schema": {"type": "string"}, "required": True}
        },
    }
}
