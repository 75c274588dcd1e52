"""`lethe view`: a view as it stands, or as it was."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from infra import json
from infra.cli.command import Answer, Call, command, progress_of
from infra.cli.exporting import FilterOption, PurposeOption, at_the_door, check, filters_of, format_of, write
from infra.http.declared import Declared
from infra.http.exports import ExportBody, Exported, batches_of, plan_of
from infra.http.replaying import VIEWS


@command("view")
async def view(
    call: Call,
    view: Annotated[str, typer.Argument(help="pipeline, leads, tickets, queues, customers or analytics.")],
    name: Annotated[str | None, typer.Argument(help="Of the analytics: funnel, win_rate, ...")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="What was true then (UTC).")] = None,
    known_at: Annotated[datetime | None, typer.Option(help="As far as was recorded then (UTC).")] = None,
    filter: FilterOption = None,
    export: Annotated[Path | None, typer.Option(dir_okay=False, help="FILE.{jsonl,csv,html}")] = None,
    purpose: PurposeOption = None,
) -> Answer:
    """Show a view, now or as of another time; or export it, with its proof in FILE.proof."""
    wanted = name if view == "analytics" else view
    if wanted not in VIEWS or (name is not None and view != "analytics"):
        raise typer.BadParameter(f"there is no such view; there are {', '.join(sorted(VIEWS))}")
    times = {"as_of": _utc(as_of), "known_at": _utc(known_at)}
    filters = filters_of(filter) | {key: it for key, it in times.items() if it is not None}
    body = ExportBody(what=Exported.VIEW, view=wanted, filters=filters)
    if export is not None:
        body = body.model_copy(update={"format": format_of(export)})
    check(body)
    async with at_the_door(call, "view", Declared(None, purpose)) as (system, reading):
        if export is not None:
            return await write(system, reading, body, export)
        items: list[Any] = []
        with progress_of(wanted, await system.reader.horizon()) as progress:
            async for batch in batches_of(reading.door, plan_of(body), lambda done, total: progress(done)):
                await reading.note(batch.subjects, batch.categories, count=len(batch.items))
                items += batch.items
    return Answer({"items": items}, "\n".join(json.encode(it).decode() for it in items))


def _utc(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
