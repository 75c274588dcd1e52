"""Reports in memory: the twin of those in PostgreSQL."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from infra.history.reports import KEPT, ORPHANED_AFTER, Report, ReportState


class MemoryReports:
    """Implements `infra.history.reports.ReportStore`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._kept: dict[UUID, Report] = {}
        self._beats: dict[UUID, datetime] = {}
        self._results: dict[UUID, Mapping[str, Any]] = {}

    async def begin(self, report: Report) -> None:
        self._kept = {id: it for id, it in self._kept.items() if it.asked_at >= self._now() - KEPT}
        self._kept[report.id] = report
        self._beats[report.id] = self._now()

    async def find(self, id: UUID) -> Report | None:
        return self._kept.get(id)

    async def result(self, id: UUID) -> Mapping[str, Any] | None:
        return self._results.get(id)

    async def beat(self, id: UUID, done: int, total: int) -> bool:
        return self._changed(id, done=done, total=total)

    async def adopt(self, id: UUID) -> bool:
        orphaned = id in self._beats and self._beats[id] < self._now() - ORPHANED_AFTER
        return orphaned and self._changed(id)

    async def finish(self, id: UUID, result: Mapping[str, Any]) -> None:
        if self._changed(id, state=ReportState.DONE, done=self._kept[id].total):
            self._results[id] = result

    async def end(self, id: UUID, state: ReportState) -> bool:
        return self._changed(id, state=state)

    def _changed(self, id: UUID, **changes: Any) -> bool:
        report = self._kept.get(id)
        if report is None or report.state is not ReportState.RUNNING:
            return False
        self._kept[id] = replace(report, **changes)
        self._beats[id] = self._now()
        return True
