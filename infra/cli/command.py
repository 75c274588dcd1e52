"""What every command of `lethe` has in common: settings as flags, --json, one-line errors, exit codes."""

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec

import msgspec
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from domain.model import DomainError
from infra import logging
from infra.bootstrap import CannotStart
from infra.deadletters import BadReason, NoSuchLetter
from infra.eventloop import run
from infra.importing.mapping import BadMapping
from infra.importing.rows import BadFile
from infra.kek import KekUnusable
from infra.postgres.epochstore import RotationRunning
from infra.rebuild import RebuildRunning
from infra.settings import BadSettings, Settings, load
from services.ports import KeyLost, Tampered, Unavailable

P = ParamSpec("P")
USED_WRONGLY = (BadSettings, BadMapping, BadReason)
FAILED = (
    DomainError,
    Unavailable,
    BadFile,
    CannotStart,
    KekUnusable,
    KeyLost,
    NoSuchLetter,
    RebuildRunning,
    RotationRunning,
    Tampered,
)

lethe = typer.Typer(
    name="lethe",
    help="An event-sourced CRM backend that remembers everything and can forget anyone.",
    add_completion=False,
    # Python's own traceback: a prettier one would show local variables, and so personal data.
    pretty_exceptions_enable=False,
)
audit = typer.Typer(help="What an auditor asks for: proofs, bundles, the register, an inspection.")
lethe.add_typer(audit, name="audit")
console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command: its settings, and whether standard output is kept for one JSON document."""

    settings: Settings
    as_json: bool

    def say(self, words: str) -> None:
        """Tell the user something while the command goes on."""
        print(words, file=sys.stderr if self.as_json else sys.stdout, flush=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found or did: a document for --json, the same in words, and whether all went well."""

    document: BaseModel | dict[str, Any]
    words: str
    well: bool = True


Body = Callable[Concatenate[Call, P], Awaitable[Answer]]


def command(name: str, *, group: typer.Typer = lethe) -> Callable[[Body[P]], Body[P]]:
    """Make a command of a function that takes the call and its own parameters, and answers.

    Exit codes: 0 done, 1 refused or failed, 2 used wrongly.
    """

    def register(body: Body[P]) -> Body[P]:
        @functools.wraps(body)
        def invoke(**given: Any) -> None:
            as_json = given.pop("json")
            flags = {it: given.pop(it) for it in Settings.model_fields}
            raise typer.Exit(_run(body, flags, given, as_json=as_json))

        invoke.__signature__ = _signature(body)  # type: ignore[attr-defined]
        group.command(name)(invoke)
        return body

    return register


def complain(error: str, *, kind: str, as_json: bool) -> None:
    """Say in one line what is wrong; with --json in a document too."""
    line = " ".join(error.split())
    print(f"lethe: {line}", file=sys.stderr)  # noqa: T201
    if as_json:
        _write({"error": {"type": kind, "detail": line}})


@contextmanager
def progress_of(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error; call what it yields with how far the work is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done, total=max(total, done))


def _signature(body: Callable[..., Any]) -> inspect.Signature:
    _, *own = inspect.signature(body, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    as_json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
    shared = [inspect.Parameter("json", keyword, default=False, annotation=as_json)]
    for setting, field in Settings.model_fields.items():
        flag = f"--{setting.replace('_', '-')}"
        option = typer.Option(flag, help=field.description, rich_help_panel="Settings", show_default=False)
        annotation = Annotated[str | None, option]
        shared.append(inspect.Parameter(setting, keyword, default=None, annotation=annotation))
    return inspect.Signature([*(it.replace(kind=keyword) for it in own), *shared])


def _run(
    body: Callable[..., Awaitable[Answer]],
    flags: dict[str, str | None],
    given: dict[str, Any],
    *,
    as_json: bool,
) -> int:
    async def work() -> Answer:
        return await body(Call(settings, as_json), **given)

    try:
        settings = load(**flags)
        logging.configure(settings.log_level)
        answer = run(work())
    except USED_WRONGLY as error:
        complain(str(error), kind=type(error).__name__, as_json=as_json)
        return 2
    except FAILED as error:
        complain(str(error), kind=type(error).__name__, as_json=as_json)
        return 1
    except KeyboardInterrupt:
        complain("interrupted; what is done stays done", kind="Interrupted", as_json=as_json)
        return 1
    if as_json:
        _write(answer.document)
    elif answer.words:
        print(answer.words, flush=True)  # noqa: T201
    return 0 if answer.well else 1


def _write(document: BaseModel | dict[str, Any]) -> None:
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(plain, enc_hook=str), indent=2) + b"\n")
    sys.stdout.flush()
