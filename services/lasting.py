"""Records whose id follows from what they are about, so that there is one of each for good."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from domain.model import Aggregate
from services.application import Application
from services.ports import CommandContext, Outcome, StaleVersion, VersionConflict

A = TypeVar("A", bound=Aggregate)


async def begin_or_change(
    application: Application,
    kind: type[A],
    id: UUID,
    *,
    begin: Callable[[], A],
    change: Callable[[A], None],
    context: CommandContext,
    expected_version: int | None = None,
) -> Outcome:
    """Make the record where there is none yet, and change it where there is one. See `Application.change`."""
    if not (await application.store.load(id)).events:
        if expected_version is not None:
            raise StaleVersion(id)
        try:
            return await application.create(begin, context=context)
        except VersionConflict:
            # Somebody else has just made it: then this is a change.
            pass
    return await application.change(kind, id, change, context=context, expected_version=expected_version)
