"""Shows events of which some cannot be digested: the batch in parts, ever smaller, down to that event."""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from domain.model import Sealed
from infra.outage import is_of_event
from infra.postgres.views.letters import Parked, park
from services.ports import Recorded

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """What is known beforehand of the events that are to be shown.

    `faults`: why those at these positions cannot be. `held`: records that a view waits with. `passed`:
    events, by record and version, that somebody decided to go on without.
    """

    digests: Mapping[Sealed, bytes]
    faults: Mapping[int, Exception] = field(default_factory=dict)
    held: Set[tuple[str, UUID]] = frozenset()
    passed: Set[tuple[UUID, int]] = frozenset()

    def check(self, events: Sequence[Recorded]) -> None:
        """Raise what is known to stand against one of the events."""
        if self.faults:
            for recorded in events:
                if (error := self.faults.get(recorded.position)) is not None:
                    raise error


@dataclass(frozen=True, slots=True)
class Shower:
    """How events are shown in a view, and how one is passed over."""

    show: Callable[[Sequence[Recorded], Given], Awaitable[None]]
    pass_over: Callable[[Recorded], Awaitable[None]]


class Apart:
    """Shows what can be shown, inside the caller's transaction, and parks the records that stumble."""

    def __init__(self, connection: AsyncConnection[Any], view: str, given: Given, shower: Shower) -> None:
        self.connection = connection
        self.view = view
        self.given = given
        self.shower = shower

    async def show(self, events: Sequence[Recorded]) -> list[Parked]:
        """All of them; where that fails, those of half the records, and so on down to one record."""
        ids = list(dict.fromkeys(it.originator_id for it in events))
        if len(ids) == 1:
            letter = await self._in_turn(events)
            return [] if letter is None else [letter]
        if await self._attempt(events) is None:
            return []
        half = set(ids[: len(ids) // 2])
        return [
            *await self.show([it for it in events if it.originator_id in half]),
            *await self.show([it for it in events if it.originator_id not in half]),
        ]

    async def _in_turn(self, events: Sequence[Recorded]) -> Parked | None:
        """One record's events up to the first that cannot be digested, which parks it."""
        error = await self._attempt(events)
        if error is None:
            return None
        if len(events) > 1:
            middle = len(events) // 2
            return await self._in_turn(events[:middle]) or await self._in_turn(events[middle:])
        (event,) = events
        if (event.originator_id, event.originator_version) in self.given.passed:
            await self.shower.pass_over(event)
            return None
        letter = Parked.of(self.view, event, error)
        await park(self.connection, letter)
        return letter

    async def _attempt(self, events: Sequence[Recorded]) -> Exception | None:
        """Show the events, all or none; what stood against it."""
        try:
            async with self.connection.transaction():
                await self.shower.show(events, self.given)
        except Exception as error:
            if not is_of_event(error):
                raise
            return error
        return None


def report(letters: Sequence[Parked]) -> None:
    """Loudly, and once it is so: the transaction has ended."""
    for it in letters:
        log.error(
            "record_parked",
            view=it.view,
            record=it.originator_id,
            event_version=it.version,
            position=it.position,
            topic=it.topic,
            error=it.error,
            where=it.place,
        )
