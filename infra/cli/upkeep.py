"""The operator's commands: status, tokens."""

from datetime import timedelta
from typing import Annotated

import typer
from uuid_utils.compat import uuid7

from infra.access import Scope
from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command, lethe
from infra.postgres.views.standing import Standing
from infra.status import Status
from infra.status import status as look
from infra.webhooks.endpoints import EndpointState

tokens = typer.Typer(help="Access tokens of the HTTP API.")
lethe.add_typer(tokens, name="token")


@command("status")
async def status(call: Call) -> Answer:
    """How far the log, the relay, webhooks and the views are; keys by state; the pool."""
    async with open_system(call.settings, migrated=False) as system:
        found = await look(system)
    return Answer(found, _in_words(found))


@command("create", group=tokens)
async def create_token(
    call: Call,
    name: Annotated[str, typer.Option(help="What the token is for, without personal data.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be given several times.")],
    days: Annotated[int | None, typer.Option(min=1, help="When it ends; absent: when it is revoked.")] = None,
) -> Answer:
    """Make a token. It is shown once."""
    async with open_system(call.settings, migrated=False) as system:
        expires_at = system.clock.now() + timedelta(days=days) if days is not None else None
        id, token = await system.tokens.create(
            name=name, scopes=frozenset(scope), actor_id=uuid7(), expires_at=expires_at
        )
    call_document = {"id": str(id), "token": token, "scopes": sorted(scope), "expires_at": expires_at}
    return Answer(call_document, token)


def _in_words(found: Status) -> str:
    lines = [
        f"{found.namespace}: log at position {found.position}, readers wait {found.fence_wait_seconds:.3f} s",
        *(f"  view {it.name}: {it.position} ({it.lag} behind)" for it in found.views),
        *(
            f"  view {view} is {it.upper()}"
            for view, it in found.views_standing.items()
            if it is not Standing.LIVE
        ),
        *(f"  {number} records PARKED from {view}" for view, number in found.dead_letters.items()),
        *(
            f"  relay to {it.name}: {it.position} ({it.lag} behind)"
            + (f", AT FAULT: {it.fault}" if it.fault else "")
            for it in found.relay
        ),
        *(
            f"  webhook {it.id}: {it.lag} behind, {it.blocked} blocked"
            + (", PARKED" if it.state is EndpointState.PARKED else "")
            for it in found.webhooks
        ),
        *(
            f"  tree of {it.log}: {it.size} leaves ({it.lag} behind), {it.signed_size} of them signed"
            + (f", AT FAULT: {it.fault}" if it.fault else "")
            for it in found.trees
        ),
        "  " + ", ".join(f"{number} {kind}" for kind, number in found.records.items()),
    ]
    for category, states in sorted(found.keys.items()):
        lines.append(
            f"  {category} keys: "
            + ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        )
    waiting = found.privacy_requests
    lines.append(f"  {waiting['open']} privacy requests open, {waiting['overdue']} of them overdue")
    lines += [f"  job {it.name}: {it.state}, next {it.next_at:%Y-%m-%d %H:%M:%S}" for it in found.jobs]
    lines.append(
        f"  {found.pool.idle} of {found.pool.size} connections idle, {found.pool.waiting} requests waiting"
    )
    return "\n".join(lines)
