"""`lethe import`: records from a file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, progress_of
from infra.importing.importer import Importer, ImportReport
from infra.importing.known import KnownCommands
from infra.importing.mapping import BadMapping, load_mapping
from infra.importing.rows import size_of


class Kind(StrEnum):
    """What can be imported."""

    MEMBERS = "members"
    CUSTOMERS = "customers"
    LEADS = "leads"
    TICKETS = "tickets"


@command("import")
async def import_(
    call: Call,
    kind: Annotated[Kind, typer.Argument(help="What the file holds.")],
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help=".csv, .csv.gz, .ndjson, .jsonl or .vcf")
    ],
    mapping: Annotated[
        str | None, typer.Option(help="A mapping file, or the name of one in infra/importing/maps.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide everything, store nothing.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Where to list what is left out; absent: beside the file.")
    ] = None,
) -> Answer:
    """Import a file. Importing it again adds nothing; after an interruption it goes on where it stopped."""
    chosen = load_mapping(mapping or ("vcards" if file.suffix.lower() in (".vcf", ".vcard") else kind))
    if chosen.kind != kind:
        raise BadMapping(f"the mapping is for {chosen.kind}, not for {kind}")
    async with open_system(call.settings) as system:
        importer = Importer(system.application, system.blind, KnownCommands(system.pool))
        with progress_of(file.name, size_of(file)) as progress:
            report = await importer.run(
                file,
                chosen,
                rejects=rejects or file.with_name(f"{file.name}.rejected.ndjson"),
                dry_run=dry_run,
                progress=progress,
            )
    return Answer(report, _in_words(report), well=report.complete)


def _in_words(report: ImportReport) -> str:
    done = "would be added" if report.dry_run else "added"
    lines = [f"{report.file}: {report.rows} rows read in {report.seconds} s"]
    lines += [f"  {number} {kind} {done}" for kind, number in sorted(report.added.items())]
    lines += [f"  {number} {kind} unchanged" for kind, number in sorted(report.unchanged.items())]
    left = {
        "rejected": report.rejected,
        "in conflict with what was imported before": report.conflicts,
        "imported without some of their fields": report.omitted,
    }
    lines += [f"  {number} {what}" for what, number in left.items() if number]
    if report.rejects is not None:
        lines.append(f"  which, and why: {report.rejects}")
    return "\n".join(lines)
