"""The one way to change an aggregate: load, decide, commit; again where another command was faster."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict, TypeVar, cast
from uuid import UUID
from weakref import WeakValueDictionary

from domain.model import Aggregate, DomainError, Event, happening_at
from services.ports import (
    Clock,
    CommandContext,
    Commit,
    EventStore,
    Outcome,
    RecordNotFound,
    StaleVersion,
    VersionConflict,
)

A = TypeVar("A", bound=Aggregate)
ATTEMPTS_MAX = 8


class Target(TypedDict):
    """Which record a command is for, what the edge knows of it, and the version (If-Match) it expects."""

    id: UUID
    context: CommandContext
    expected_version: NotRequired[int | None]


class Application:
    """Runs decisions against the event store. Safe to share between tasks."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def create(self, factory: Callable[[], A], *, context: CommandContext) -> Outcome:
        """Make a new aggregate. `factory` may go on deciding on what it made: all of it is one commit."""
        with happening_at(context.occurred_at):
            aggregate = factory()
        return await self.store.append(_commit(aggregate, context))

    async def change(
        self,
        kind: type[A],
        id: UUID,
        decide: Callable[[A], None],
        *,
        context: CommandContext,
        expected_version: int | None = None,
    ) -> Outcome:
        """Let `decide` command the aggregate, and store what follows.

        A repeated command id gets the first answer. With `expected_version` (If-Match) a record that is at
        another version raises `StaleVersion`; without, a lost race is decided anew, up to 8 times.
        """
        turn = self._turns.setdefault(id, asyncio.Lock())
        async with turn:
            for _ in range(ATTEMPTS_MAX):
                try:
                    return await self._attempt(kind, id, decide, context, expected_version)
                except VersionConflict:
                    if expected_version is not None:
                        raise StaleVersion(id) from None
            raise VersionConflict(id)

    async def _attempt(
        self,
        kind: type[A],
        id: UUID,
        decide: Callable[[A], None],
        context: CommandContext,
        expected_version: int | None,
    ) -> Outcome:
        history = await self.store.load(id)
        aggregate = replay(kind, id, history.events)
        version = aggregate.version
        refusal: Exception | None = None
        if expected_version is not None and version != expected_version:
            refusal = StaleVersion(id)
        else:
            try:
                with happening_at(context.occurred_at):
                    decide(aggregate)
            except DomainError as error:
                refusal = error
        if refusal is not None:
            # The rule may refuse only because this very command was applied before.
            if (first := await self.store.outcome_of(context)) is not None:
                return first
            raise refusal
        return await self.store.append(_commit(aggregate, context, version, history.position))


def replay(kind: type[A], id: UUID, events: Sequence[Event]) -> A:
    """The aggregate as its events left it. Raises `RecordNotFound` if there are none of this kind."""
    aggregate: Aggregate | None = None
    for event in events:
        aggregate = event.mutate(aggregate)
    if not isinstance(aggregate, kind):
        raise RecordNotFound(id)
    return aggregate


def _commit(aggregate: Aggregate, context: CommandContext, version: int = 0, position: int = 0) -> Commit:
    events = tuple(cast("list[Event]", aggregate.collect_events()))
    return Commit(context, aggregate.id, aggregate.subject_id, events, version, position)
