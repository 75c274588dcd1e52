"""`lethe retention`: what retention policies would erase, and erasing it."""

from typing import Annotated, Any

import typer

from domain.model import Category
from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, console, lethe
from infra.retention import Tally, tallied

retention = typer.Typer(help="Retention policies: what is past its time.")
lethe.add_typer(retention, name="retention")


@command("plan", group=retention)
async def plan(call: Call) -> Answer:
    """What would be erased now, and what keeps the rest. Nothing is changed."""
    async with open_system(call.settings, migrated=False) as system:
        tally = await tallied(system.retention.plan(system.clock.now()))
    return Answer(_document(tally, applied=False), _in_words(tally, "would be erased"))


@command("apply", group=retention)
async def apply(
    call: Call,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
) -> Answer:
    """Erase what is past its time, by category, on the ground of storage limitation. May be stopped."""
    if dry_run:
        return await plan(call)
    async with open_system(call.settings, migrated=False) as system:
        with console.status("erasing") as status:
            tally = await system.retention.apply(
                system.clock.now(), lambda people: status.update(f"erasing: {people} people")
            )
    return Answer(_document(tally, applied=True), _in_words(tally, "erased"))


def _document(tally: Tally, *, applied: bool) -> dict[str, Any]:
    return {
        "applied": applied,
        "people": tally.people,
        "categories": {str(it): tally.categories[it] for it in Category if it in tally.categories},
        "kept": {str(it): number for it, number in sorted(tally.kept.items())},
    }


def _in_words(tally: Tally, done: str) -> str:
    what = ", ".join(f"{tally.categories[it]} {it}" for it in Category if it in tally.categories)
    why = ", ".join(f"{number} {it}" for it, number in sorted(tally.kept.items()))
    return f"Of {tally.people} people {what or 'nothing'} {done}. Past its time and kept: {why or 'nothing'}."
