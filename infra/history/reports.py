"""Reports: views of past times that take longer than a request should; found again by any process."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

BEAT_SECONDS = 1.0
ORPHANED_AFTER = timedelta(seconds=10)
KEPT = timedelta(days=7)


class ReportState(StrEnum):
    """How far a report is. Failed: it cannot be made, such as for too many records."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What was asked of which view, and how far it is: `done` of `total`, in positions of the log."""

    id: UUID
    view: str
    asked: Mapping[str, Any]
    actor: str
    asked_at: datetime
    state: ReportState = ReportState.RUNNING
    done: int = 0
    total: int = 0


class ReportStore(Protocol):
    """Keeps reports for a week. What it keeps of a result holds ids and totals, never personal values."""

    async def begin(self, report: Report) -> None: ...

    async def find(self, id: UUID) -> Report | None: ...

    async def result(self, id: UUID) -> Mapping[str, Any] | None:
        """What came of it, once it is done."""
        ...

    async def beat(self, id: UUID, done: int, total: int) -> bool:
        """Say that it is worked on, and how far it is. False: leave off, it was cancelled."""
        ...

    async def adopt(self, id: UUID) -> bool:
        """Take over one that is running and that nobody has worked on for 10 s. False: somebody does."""
        ...

    async def finish(self, id: UUID, result: Mapping[str, Any]) -> None: ...

    async def end(self, id: UUID, state: ReportState) -> bool:
        """Cancelled or failed. False: it was not running any more."""
        ...
