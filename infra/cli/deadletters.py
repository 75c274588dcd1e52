"""`lethe deadletters`: the records that a view cannot go on with, and what ends that."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, lethe
from infra.cli.commanding import ACTOR
from infra.deadletters import BEGINNING, Letter, Retried, Skip

PAGE = 500
RecordId = Annotated[UUID, typer.Argument(help="The record.")]
View = Annotated[str | None, typer.Option(help="Only those of one view.")]

deadletters = typer.Typer(help="Records whose events a view cannot digest: parked, while all others go on.")
lethe.add_typer(deadletters, name="deadletters")


@command("list", group=deadletters)
async def list_letters(call: Call, view: View = None) -> Answer:
    """What is parked: the event it stumbled over, what went wrong, and how many events wait behind it."""
    found: list[Letter] = []
    async with open_system(call.settings, migrated=False) as system:
        after = BEGINNING
        while page := await system.dead_letters.letters(view=view, limit=PAGE, after=after):
            found += page
            after = found[-1].record_id, found[-1].view
    words = "\n".join(map(_in_words, found)) or "nothing is parked"
    return Answer({"dead_letters": [asdict(it) for it in found]}, words)


@command("show", group=deadletters)
async def show(call: Call, record: RecordId) -> Answer:
    """All about one record: where it is parked, and which of its events were skipped, by whom and why."""
    async with open_system(call.settings, migrated=False) as system:
        letters = await system.dead_letters.letters(record_id=record)
        skipped = await system.dead_letters.skipped(record)
    document: dict[str, Any] = {
        "dead_letters": [asdict(it) for it in letters],
        "skipped": [asdict(it) for it in skipped],
    }
    lines = [*map(_in_words, letters), *map(_skip_in_words, skipped)]
    return Answer(document, "\n".join(lines) or "it is not parked, and nothing of it was skipped")


@command("retry", group=deadletters)
async def retry(
    call: Call,
    record: Annotated[UUID | None, typer.Argument(help="The record; absent: all that is parked.")] = None,
    view: View = None,
) -> Answer:
    """Try again, after the fix. What can be digested now is shown, in order, and waits no more."""
    async with open_system(call.settings, migrated=False) as system:
        return _tried(await system.dead_letters.retry(view=view, record_id=record))


@command("skip", group=deadletters)
async def skip(
    call: Call,
    view: Annotated[str, typer.Argument(help="The view.")],
    record: RecordId,
    version: Annotated[int, typer.Option(help="The event's, as `list` shows it.")],
    reason: Annotated[str, typer.Option(help="A code, such as a change's number: nothing about a person.")],
) -> Answer:
    """Let the view go on without this one event, for good. Who, when and why is kept."""
    async with open_system(call.settings, migrated=False) as system:
        return _tried(
            await system.dead_letters.skip(
                view=view, record_id=record, version=version, actor=ACTOR, reason=reason
            )
        )


def _tried(found: Retried) -> Answer:
    words = f"{found.tried} tried, {found.drained} of them wait no more"
    return Answer(asdict(found), words, well=found.drained == found.tried)


def _in_words(it: Letter) -> str:
    return (
        f"{it.view} {it.record_id}: version {it.version} ({it.topic}, position {it.position}), {it.error} at "
        f"{it.place}, since {it.parked_at:%Y-%m-%d %H:%M:%S}, {it.held_back} events behind it"
    )


def _skip_in_words(it: Skip) -> str:
    return (
        f"{it.view} {it.record_id}: version {it.version} ({it.topic}) skipped "
        f"{it.skipped_at:%Y-%m-%d %H:%M:%S} by {it.actor}: {it.reason}"
    )
