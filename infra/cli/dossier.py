"""`lethe subject export`: everything that is held about a person, in a file for them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.values import ExportFormat
from infra.accesslog import Access, packed
from infra.bootstrap import System, open_system
from infra.cli.command import Answer, Call, command, lethe
from infra.cli.commanding import OPERATOR, context_of
from infra.dossier.gathering import Asked, Dossier, Form, open_dossier
from infra.dossier.handing import Handing
from infra.files import write_whole
from services.ports import Ground

subject = typer.Typer(help="A person, by the id of their data subject.")
lethe.add_typer(subject, name="subject")


class Format(StrEnum):
    """For programs, or for people."""

    JSON = "json"
    HTML = "html"


@command("export", group=subject)
async def export(
    call: Call,
    subject: Annotated[UUID, typer.Argument(help="The data subject's id.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The file to write; readable by you only.")],
    format: Annotated[Format, typer.Option(help="For programs, or for people.")] = Format.JSON,
    form: Annotated[Form, typer.Option(help="Everything; or what the person provided.")] = Form.ACCESS,
    request: Annotated[UUID | None, typer.Option(help="The privacy request it answers.")] = None,
) -> Answer:
    """Write down everything that is held about a person, for them (GDPR, articles 15 and 20).

    The file is there once it is whole.
    """
    if not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}")
    asked = Asked(id=uuid7(), subject_id=subject, form=form, request_id=request)
    async with open_system(call.settings, migrated=False) as system:
        dossier = await open_dossier(system.dossiers, asked)
        handing = Handing(
            dossier,
            ExportFormat(format),
            exports=system.exports,
            requests=system.privacy_requests,
            context_of=lambda: context_of(system.clock, correlation_id=asked.id),
        )
        await handing.begin()
        _note(system, dossier)
        size = await write_whole(out, handing.parts())
    document = {
        "id": str(asked.id),
        "subject_id": str(subject),
        "form": form,
        "file": str(out),
        "bytes": size,
    }
    return Answer(document, f"Dossier {asked.id}: {size} bytes in {out}")


def _note(system: System, dossier: Dossier) -> None:
    system.accesses.note(
        Access(
            at=system.clock.now(),
            actor=OPERATOR,
            operation="subject_export",
            ground=Ground.SUBJECT_RIGHTS,
            categories=tuple(sorted(Category)),
            count=len(dossier.records),
            subjects=packed([dossier.asked.subject_id.bytes]),
            export_id=dossier.asked.id,
        )
    )
