"""Which commands the log has answered already, asked for many at once: a repeated import is mostly that."""

from collections.abc import Sequence

from infra.eventstore.committing import Answer, Pool, first_answers
from infra.outage import unavailable_on_outage
from services.ports import CommandContext


class KnownCommands:
    """Looks first answers up by the hundred."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def answers(self, contexts: Sequence[CommandContext]) -> Sequence[Answer | None]:
        """For each command its first answer, `CommandReused`, or None for a new one. Raises `Unavailable`."""
        if not contexts:
            return []
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await first_answers(connection, contexts)
