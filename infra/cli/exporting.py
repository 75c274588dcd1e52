"""`lethe export`: histories and views in a file, recorded in the log, with their proof beside them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from fastapi.exceptions import RequestValidationError
from uuid_utils.compat import uuid7

from domain.values import ExportFormat
from infra.access import Token
from infra.bootstrap import System, open_system
from infra.cli.command import Answer, Call, command, progress_of
from infra.cli.commanding import OPERATOR
from infra.door import door_of
from infra.files import write_whole
from infra.history.exporting import Exporting
from infra.http.declared import Declared
from infra.http.errors import NotYetVisible, Refusal, field_error, title
from infra.http.exports import ExportBody, Exported, exporting_of, plan_of
from infra.http.reading import Reading
from infra.work import going_on, projector_of, sequencing
from services.ports import Ground, Unavailable

PROOF_SECONDS_MAX: Final = 30.0

FilterOption = Annotated[
    list[str] | None, typer.Option("--filter", help="NAME=VALUE; may be given several times.")
]
GroundOption = Annotated[Ground | None, typer.Option(help="Why a restricted person's data may be shown.")]
PurposeOption = Annotated[str | None, typer.Option(help="The processing activity that it serves.")]


@command("export")
async def export(
    call: Call,
    what: Annotated[Exported, typer.Argument(help="Whose history; or a view.")],
    file: Annotated[Path, typer.Argument(dir_okay=False, help="FILE.jsonl, FILE.csv or FILE.html.")],
    id: Annotated[UUID | None, typer.Option(help="Of the record, the data subject or the actor.")] = None,
    view: Annotated[str | None, typer.Option(help="The view's name, such as pipeline.")] = None,
    filter: FilterOption = None,
    ground: GroundOption = None,
    purpose: PurposeOption = None,
) -> Answer:
    """Write a history or a view into a file that only you may read, and its proof into FILE.proof.

    What is written, and that it was, stands in the log.
    """
    body = ExportBody(what=what, id=id, view=view, filters=filters_of(filter), format=format_of(file))
    check(body)
    async with at_the_door(call, "export", Declared(None, purpose, ground)) as (system, reading):
        return await write(system, reading, body, file)


def format_of(file: Path) -> ExportFormat:
    """By the file's suffix. Raises `typer.BadParameter`."""
    if not file.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {file.parent}")
    try:
        return ExportFormat(file.suffix.removeprefix("."))
    except ValueError:
        raise typer.BadParameter(f"the file must end in one of: .{', .'.join(ExportFormat)}") from None


def filters_of(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE, once or several times. Raises `typer.BadParameter`."""
    found: dict[str, Any] = {}
    for it in given or ():
        name, sign, value = it.partition("=")
        if not sign:
            raise typer.BadParameter(f"a filter is NAME=VALUE, not {it!r}")
        earlier = found.get(name)
        found[name] = value if earlier is None else [*_listed(earlier), value]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@asynccontextmanager
async def at_the_door(
    call: Call, operation: str, declared: Declared
) -> AsyncIterator[tuple[System, Reading]]:
    """The system with its door, and the operator as the reader; meanwhile views and trees go on.

    Views fed from Kafka do so by themselves. What the door refuses is told in the words of the command line.
    """
    stop = asyncio.Event()
    async with (
        open_system(call.settings, migrated=False) as system,
        going_on(_work(system), stop),
        door_of(system, stop) as door,
    ):
        token = Token(OPERATOR, "command line", frozenset(), OPERATOR, system.clock.now())
        with _in_our_words():
            yield system, Reading(door, token, declared, operation, None, uuid7())


def check(body: ExportBody) -> None:
    """Refuse what makes no sense before anything is opened."""
    with _in_our_words():
        plan_of(body)


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except RequestValidationError as error:
        told = [field_error(it) for it in error.errors()]
        raise typer.BadParameter("; ".join(f"{it['field']}: {it['message']}" for it in told)) from None
    except NotYetVisible:
        raise Unavailable("the views are behind the log: try again") from None
    except Refusal as error:
        raise typer.BadParameter(error.detail or title(type(error))) from None


def _work(system: System) -> dict[str, Any]:
    projecting = {} if system.settings.kafka is not None else {"projector": projector_of(system).run}
    return {**projecting, **sequencing(system)}


async def write(system: System, reading: Reading, body: ExportBody, file: Path) -> Answer:
    """The export in the file, the proof beside it."""
    with progress_of("reading", await system.reader.horizon()) as progress:
        exporting, batches = await exporting_of(reading, plan_of(body), lambda done, total: progress(done))
        size = await write_whole(file, exporting.parts(batches))
    proof = file.with_name(f"{file.name}.proof")
    manifest = await reading.door.manifests.manifest(exporting.id, patience=PROOF_SECONDS_MAX)
    if manifest is not None:
        await write_whole(proof, _whole(manifest))
    return _answer(exporting, file, size, proof if manifest is not None else None)


async def _whole(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


def _answer(exporting: Exporting, file: Path, size: int, proof: Path | None) -> Answer:
    document = {
        "id": str(exporting.id),
        "file": str(file),
        "bytes": size,
        "count": exporting.count,
        "proof": None if proof is None else str(proof),
    }
    where = f"proof in {proof}" if proof else f"proof at /v1/exports/{exporting.id}/manifest in a while"
    return Answer(document, f"Export {exporting.id}: {exporting.count} items in {file}, {where}")
