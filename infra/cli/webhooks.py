"""`lethe webhook`: addresses to which events are sent, and how that goes."""

from typing import Annotated, Any
from uuid import UUID

import typer
from uuid_utils.compat import uuid7

from infra.bootstrap import System, open_system
from infra.cli.command import Answer, Call, command, lethe
from infra.cli.commanding import context_of
from infra.webhooks.endpoints import Seen
from services.ports import Outcome

webhooks = typer.Typer(help="Webhooks: signed events to an address, by the Standard Webhooks specification.")
lethe.add_typer(webhooks, name="webhook")

Id = Annotated[UUID, typer.Argument(help="The webhook's id.")]
Reason = Annotated[str | None, typer.Option(help="Kept sealed beside the event.")]


@command("register", group=webhooks)
async def register(
    call: Call,
    url: Annotated[str, typer.Argument(help="Public in the log: no user, password or query in it.")],
    type: Annotated[
        list[str] | None, typer.Option(help="Such as lead.won or lead; may be given several times.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is for: nothing about a person.")] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="From after this position; absent: from now.")
    ] = None,
    reason: Reason = None,
) -> Answer:
    """Send events there from now on. The secret is shown once."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.webhooks.register(
            id=uuid7(),
            url=url,
            types=tuple(type or ()),
            description=description,
            after=after,
            context=context_of(system.clock, reason),
        )
        return await _with_secret(system, done)


@command("rotate", group=webhooks)
async def rotate(
    call: Call,
    id: Id,
    overlap_hours: Annotated[int, typer.Option(min=0, max=168, help="How long the old one signs too.")] = 24,
    reason: Reason = None,
) -> Answer:
    """Sign with a new secret, which is shown once."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.webhooks.rotate(
            id=id, overlap_hours=overlap_hours, context=context_of(system.clock, reason)
        )
        return await _with_secret(system, done)


@command("list", group=webhooks)
async def list_webhooks(call: Call) -> Answer:
    """Every webhook, and how far behind the log it is."""
    async with open_system(call.settings, migrated=False) as system:
        found = await system.webhook_desk.all()
    words = "\n".join(_line(it) for it in found)
    return Answer({"items": [_document(it) for it in found]}, words or "There is none.")


@command("show", group=webhooks)
async def show(call: Call, id: Id) -> Answer:
    """One webhook: its state, what is blocked, and what the last attempt came to."""
    async with open_system(call.settings, migrated=False) as system:
        found = await system.webhook_desk.one(id)
    document = _document(found)
    return Answer(document, "\n".join(f"{name}: {it}" for name, it in document.items() if it is not None))


@command("resume", group=webhooks)
async def resume(
    call: Call,
    id: Id,
    after: Annotated[
        int | None, typer.Option(min=0, help="From after this position; absent: from where it stopped.")
    ] = None,
    reason: Reason = None,
) -> Answer:
    """Send to a parked webhook again."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.webhooks.resume(id=id, after=after, context=context_of(system.clock, reason))
    return _answer(done, f"{id} is sent to again.")


@command("replay", group=webhooks)
async def replay(
    call: Call,
    id: Id,
    after: Annotated[int, typer.Option(min=0, help="A position; 0: from the beginning.")],
    reason: Reason = None,
) -> Answer:
    """Send everything after a position again."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.webhooks.replay(id=id, after=after, context=context_of(system.clock, reason))
    return _answer(done, f"{id} is sent everything after {after} again.")


@command("remove", group=webhooks)
async def remove(call: Call, id: Id, reason: Reason = None) -> Answer:
    """Send nothing there any more."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.webhooks.remove(id=id, context=context_of(system.clock, reason))
    return _answer(done, f"{id} is removed.")


async def _with_secret(system: System, done: Outcome) -> Answer:
    secret = await system.webhook_desk.secret(done.id, done.version)
    words = f"{done.id}\nThe secret, which is not shown again: {secret}"
    return Answer({**_done(done), "secret": secret}, words)


def _answer(done: Outcome, words: str) -> Answer:
    return Answer(_done(done), words)


def _done(done: Outcome) -> dict[str, Any]:
    return {"id": str(done.id), "version": done.version, "position": done.position}


def _line(seen: Seen) -> str:
    it, progress = seen.endpoint, seen.progress
    return f"{it.id}  {it.state}  {seen.lag} behind, {progress.blocked} blocked  {it.url}"


def _document(seen: Seen) -> dict[str, Any]:
    it, progress = seen.endpoint, seen.progress
    return {
        "id": str(it.id),
        "state": it.state,
        "cause": it.cause,
        "url": it.url,
        "types": list(it.types),
        "description": it.description,
        "version": it.version,
        "cursor": progress.cursor,
        "lag": seen.lag,
        "blocked": progress.blocked,
        "last_status": progress.last_status,
        "last_fault": progress.last_fault,
        "last_attempt_at": progress.last_attempt_at,
        "last_success_at": progress.last_success_at,
        "next_attempt_at": progress.next_attempt_at,
    }
