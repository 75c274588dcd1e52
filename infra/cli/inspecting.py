"""`lethe audit inspect`: everything that a program can check, and a report of it."""

from pathlib import Path
from typing import Annotated

import typer

from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, audit, command, progress_of
from infra.inspection.findings import as_page, in_words
from infra.inspection.inspecting import ALL
from infra.inspection.inspecting import inspect as look_at


@command("inspect", group=audit)
async def inspect(
    call: Call,
    out: Annotated[
        Path | None, typer.Option(help="Write the report as an HTML page there too.", dir_okay=False)
    ] = None,
) -> Answer:
    """Check what is missing, late or odd: bases, requests, erasures, keys, backups, proofs, staff.

    Exit code 1 where a rule is broken or something is late; advice alone is well.
    """
    async with open_system(call.settings, migrated=False) as system:
        with progress_of("inspecting", len(ALL)) as told:
            report = await look_at(system, told)
    if out is not None:
        out.write_text(as_page(report), encoding="utf-8")
    return Answer(report, in_words(report), well=report.well)
