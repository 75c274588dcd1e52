"""`lethe erase`: a person, or some of what is held of theirs."""

from typing import Annotated
from uuid import UUID

import typer
from uuid_utils.compat import uuid7

from domain.model import Category
from domain.values import ErasureGround
from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command
from services.erasures import WhenHeld
from services.ports import CommandContext

ACTOR = "lethe-cli"


@command("erase")
async def erase(
    call: Call,
    subject: Annotated[UUID, typer.Argument(help="The data subject's id.")],
    ground: Annotated[
        ErasureGround, typer.Option(help="GDPR, article 17(1); the default is the controller's own finding.")
    ] = ErasureGround.NO_LONGER_NECESSARY,
    category: Annotated[
        list[Category] | None, typer.Option(help="Only this; may be given several times. Absent: everything.")
    ] = None,
    when_held: Annotated[
        WhenHeld, typer.Option(help="Under a legal hold: refuse, or wait until it is lifted.")
    ] = WhenHeld.REFUSE,
    reason: Annotated[str | None, typer.Option(help="Kept sealed beside the request.")] = None,
) -> Answer:
    """Erase a person: their keys are destroyed, and with them everything sealed, for good."""
    async with open_system(call.settings, migrated=False) as system:
        command_id, erasure_id = uuid7(), uuid7()
        context = CommandContext(
            command_id=command_id,
            request_digest=command_id.bytes,
            actor=ACTOR,
            occurred_at=system.clock.now(),
            correlation_id=command_id,
            reason=reason,
        )
        erasing = await system.erasures.erase(
            id=erasure_id,
            erased_subject_id=subject,
            ground=ground,
            context=context,
            categories=category or (),
            when_held=when_held,
        )
    document = {
        "id": str(erasure_id),
        "subject_id": str(subject),
        "erased": not erasing.held,
        "held": erasing.held,
        "categories": sorted(category or ()),
        "position": erasing.outcome.position,
    }
    return Answer(document, _in_words(subject, erasure_id, category or [], held=erasing.held))


def _in_words(subject: UUID, erasure_id: UUID, categories: list[Category], *, held: bool) -> str:
    what = f"{subject}" if not categories else f"{', '.join(sorted(categories))} of {subject}"
    if held:
        return f"A legal hold names {subject}: erasure {erasure_id} waits until it is lifted."
    return f"{what} is erased (erasure {erasure_id})."
