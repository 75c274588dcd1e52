"""`lethe rebuild`: views built anew from the log, beside the live ones."""

from enum import StrEnum
from typing import Annotated

import typer

from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, progress_of
from infra.postgres.views.tables import VIEWS
from infra.rebuild import Rebuilder, RebuildReport


class View(StrEnum):
    """The views that have rows of their own: analytics total those of the others."""

    DIRECTORY = "directory"
    PIPELINE = "pipeline"
    PRIVACY = "privacy"
    RIGHTS = "rights"
    TICKETS = "tickets"
    TIMELINE = "timeline"


@command("rebuild")
async def rebuild(
    call: Call, view: Annotated[View | None, typer.Argument(help="Which one; absent: all of them.")] = None
) -> Answer:
    """Build a view anew from the log, beside the live one, and switch to it. Says whether they were equal.

    Nobody waits for it. Interrupted, it leaves the live view as it is; run again, it goes on.
    """
    async with open_system(call.settings, migrated=False) as system:
        reports = [
            await _rebuild(system.rebuilder, name, await system.reader.horizon())
            for name in (VIEWS if view is None else (view.value,))
        ]
    return Answer({"views": [_document(it) for it in reports]}, "\n".join(_in_words(it) for it in reports))


async def _rebuild(rebuilder: Rebuilder, view: str, position: int) -> RebuildReport:
    with progress_of(view, position) as progress:
        return await rebuilder.rebuild(view, lambda done, total: progress(done))


def _document(report: RebuildReport) -> dict[str, object]:
    return {
        "view": report.view,
        "position": report.position,
        "rows": report.rows,
        "equal": report.equal,
        "live_hash": report.live_hash,
        "rebuilt_hash": report.rebuilt_hash,
    }


def _in_words(report: RebuildReport) -> str:
    found = f"{report.view}: {report.rows} rows at position {report.position}, {report.rebuilt_hash}"
    return found if report.equal else f"{found}; the live view differed: {report.live_hash}"
