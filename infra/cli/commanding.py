"""Who commands on the command line, and what goes with each command."""

from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from uuid_utils.compat import uuid7

from services.ports import Clock, CommandContext

ACTOR: Final = "lethe-cli"
OPERATOR: Final = uuid5(NAMESPACE_URL, "urn:lethe:operator")
"""The pseudonym of whoever may use the command line."""


def context_of(
    clock: Clock, reason: str | None = None, *, correlation_id: UUID | None = None
) -> CommandContext:
    """A command of its own: given again, it is another one."""
    command_id = uuid7()
    return CommandContext(
        command_id=command_id,
        request_digest=command_id.bytes,
        actor=ACTOR,
        occurred_at=clock.now(),
        correlation_id=correlation_id or command_id,
        reason=reason,
    )
