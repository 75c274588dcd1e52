"""`lethe retention`: what policies would erase, and erasing it; `lethe audit register` and `fields`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from domain.model import Category
from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, audit, command, console, lethe
from infra.inventory import REGISTER_WORDS, fields, inventory_page, register, register_tables
from infra.retention import Tally, tallied
from infra.tables import html, markdown

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


class Form(StrEnum):
    """How the register is written."""

    MARKDOWN = "markdown"
    HTML = "html"


@command("register", group=audit)
async def show_register(
    call: Call, form: Annotated[Form, typer.Option("--form", help="How it is written.")] = Form.MARKDOWN
) -> Answer:
    """The register of processing (GDPR, article 30), with the inventory of every field that can be stored."""
    async with open_system(call.settings, migrated=False) as system:
        found = await register(system.views, namespace=call.settings.namespace, at=system.clock.now())
    write = html if form is Form.HTML else markdown
    words = f"{REGISTER_WORDS} Made at {found.made_at:%Y-%m-%d %H:%M} UTC."
    return Answer(found, write(f"Register of {found.namespace}", words, register_tables(found)).rstrip("\n"))


@command("fields", group=audit)
async def show_fields(call: Call) -> Answer:
    """Every field of every event that this release can store, and how it is declared. Needs no database."""
    known = [it.model_dump(mode="json") for it in fields()]
    return Answer({"fields": known}, inventory_page().rstrip("\n"))


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
