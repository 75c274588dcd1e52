"""`lethe subscriber`: programs that follow the events, what they may open, and their tokens."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from domain.model import Category
from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, lethe
from infra.cli.commanding import context_of
from projections.subscribers import SubscriberFilter, SubscriberRow
from services.ports import Outcome
from services.subscribers import subscriber_of

PAGE = 500

subscribers = typer.Typer(help="Programs that follow the events, and what they may open.")
lethe.add_typer(subscribers, name="subscriber")

Name = Annotated[str, typer.Argument(help="The subscriber's name: small letters, digits and hyphens.")]
Purpose = Annotated[str, typer.Option(help="The code of what it does this for.")]
Categories = Annotated[list[Category], typer.Option(help="What it may open; may be given several times.")]
Reason = Annotated[str | None, typer.Option(help="Kept sealed beside the event.")]


@command("register", group=subscribers)
async def register(call: Call, name: Name, purpose: Purpose, reason: Reason = None) -> Answer:
    """Write down a program that follows the events. It opens nothing until it is granted."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.subscribers.register(
            name=name, purpose=purpose, context=context_of(system.clock, reason)
        )
    return _answer(done, name, f"{name} is registered for {purpose} ({done.id}).")


@command("grant", group=subscribers)
async def grant(
    call: Call,
    name: Name,
    category: Categories,
    purpose: Annotated[str | None, typer.Option(help="What for; absent: the subscriber's own.")] = None,
    reason: Reason = None,
) -> Answer:
    """Let it open these categories for a purpose."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.subscribers.grant(
            id=subscriber_of(name),
            categories=category,
            purpose=purpose,
            context=context_of(system.clock, reason),
        )
    return _answer(done, name, f"{name} may open {', '.join(sorted(category))}.")


@command("revoke", group=subscribers)
async def revoke(
    call: Call,
    name: Name,
    category: Annotated[
        list[Category] | None, typer.Option(help="Only this; may be given several times. Absent: everything.")
    ] = None,
    reason: Reason = None,
) -> Answer:
    """Let it open these categories no more: it counts on its next call."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.subscribers.revoke(
            id=subscriber_of(name), categories=category or (), context=context_of(system.clock, reason)
        )
    what = ", ".join(sorted(category)) if category else "anything"
    return _answer(done, name, f"{name} may not open {what} any more.")


@command("end", group=subscribers)
async def end(call: Call, name: Name, reason: Reason = None) -> Answer:
    """It follows no more: its grants are void, its tokens end, and nobody is ever given its name again."""
    async with open_system(call.settings, migrated=False) as system:
        done = await system.subscribers.end(id=subscriber_of(name), context=context_of(system.clock, reason))
    return _answer(done, name, f"{name} has ended.")


@command("token", group=subscribers)
async def token(
    call: Call,
    name: Name,
    days: Annotated[int | None, typer.Option(min=1, help="When it ends; absent: when it is revoked.")] = None,
) -> Answer:
    """Make a token that acts as the subscriber. It is shown once."""
    async with open_system(call.settings, migrated=False) as system:
        expires_at = system.clock.now() + timedelta(days=days) if days is not None else None
        id, minted = await system.subscribers.mint(subscriber_of(name), expires_at=expires_at)
    document = {
        "id": str(id),
        "subscriber_id": str(subscriber_of(name)),
        "token": minted,
        "expires_at": expires_at,
    }
    return Answer(document, minted)


@command("list", group=subscribers)
async def list_subscribers(
    call: Call, ended: Annotated[bool, typer.Option("--ended", help="Also those that ended.")] = False
) -> Answer:
    """Who follows the events, and may open what."""
    where = SubscriberFilter(living=None if ended else True)
    found: list[SubscriberRow] = []
    async with open_system(call.settings, migrated=False) as system:
        after = None
        while rows := await system.views.subscribers.list_subscribers(where, limit=PAGE, after=after):
            found += rows
            after = rows[-1].id
    found.sort(key=lambda it: it.name)
    return Answer({"subscribers": [_document(it) for it in found]}, "\n".join(map(_in_words, found)))


def _answer(done: Outcome, name: str, words: str) -> Answer:
    document = {"id": str(done.id), "name": name, "version": done.version, "position": done.position}
    return Answer(document, words)


def _document(row: SubscriberRow) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "name": row.name,
        "purpose": row.purpose,
        "registered_at": row.registered_at.isoformat(),
        "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
        "grants": row.grants,
    }


def _in_words(row: SubscriberRow) -> str:
    grants = ", ".join(f"{it['category']} for {it['purpose']}" for it in row.grants)
    if row.ended_at is not None:
        return f"{row.name}: ended {row.ended_at:%Y-%m-%d}"
    return f"{row.name}: for {row.purpose}, may open {grants or 'nothing'}"
