"""The one way to change an aggregate: load, decide, commit; again where another command was faster."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NotRequired, Protocol, TypedDict, TypeVar, cast
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic import ValidationError

from domain.model import Aggregate, DomainError, Event, happening_at
from services.ports import (
    AggregateSnapshots,
    Clock,
    CommandContext,
    Commit,
    EventStore,
    Outcome,
    RecordNotFound,
    Refused,
    StaleVersion,
    Unavailable,
    VersionConflict,
)
from services.remembered import Remembered, replayed

A = TypeVar("A", bound=Aggregate)
ATTEMPTS_MAX = 8


class Target(TypedDict):
    """Which record a command is for, what the edge knows of it, and the version (If-Match) it expects."""

    id: UUID
    context: CommandContext
    expected_version: NotRequired[int | None]


class Basis(Protocol):
    """Knows for which purposes there is a lawful basis."""

    async def require(self, commit: Commit) -> None:
        """Refuse a commit whose context names a purpose, where there is none for it."""
        ...


class Application:
    """Runs decisions against the event store. Safe to share between tasks.

    With a `basis` a command that names a purpose is held to it; one that names none costs nothing. With
    `snapshots` long records are short also for a process that has not seen them yet.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        basis: Basis | None = None,
        snapshots: AggregateSnapshots | None = None,
    ) -> None:
        self.store = store
        self.clock = clock
        self._basis = basis
        self._remembered = Remembered(snapshots)
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def create(self, factory: Callable[[], A], *, context: CommandContext) -> Outcome:
        """Make a new aggregate. `factory` may go on deciding on what it made: all of it is one commit."""
        with happening_at(context.occurred_at):
            aggregate = factory()
        return await self._store(_commit(aggregate, context))

    async def create_all(
        self, creations: Sequence[tuple[Callable[[], Aggregate], CommandContext]]
    ) -> Sequence[Outcome | DomainError | ValidationError | Unavailable]:
        """What `create` answers or raises for each, in their order: each is stored or fails by itself.

        For commands that name no purpose. Raises `Unavailable` only where none of them was looked at.
        """
        answers: list[Outcome | DomainError | ValidationError | Unavailable | None] = []
        commits: list[Commit] = []
        for factory, context in creations:
            if context.purpose is not None:
                raise ValueError("a command that names a purpose is held to it by itself")
            try:
                with happening_at(context.occurred_at):
                    commits.append(_commit(factory(), context))
                answers.append(None)
            except (DomainError, ValidationError) as refusal:
                answers.append(refusal)
        stored = iter(await self.store.append_all(commits))
        return [next(stored) if it is None else it for it in answers]

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
        aggregate, position = await self._remembered.load(self.store, id)
        if not isinstance(aggregate, kind):
            raise RecordNotFound(id)
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
        return await self._store(_commit(aggregate, context, version, position))

    async def _store(self, commit: Commit) -> Outcome:
        if self._basis is not None and commit.context.purpose is not None:
            try:
                await self._basis.require(commit)
            except Refused:
                # The basis may have gone since this very command was applied.
                if (first := await self.store.outcome_of(commit.context)) is not None:
                    return first
                raise
        return await self.store.append(commit)


def replay(kind: type[A], id: UUID, events: Sequence[Event]) -> A:
    """The aggregate as its events left it. Raises `RecordNotFound` if there are none of this kind."""
    aggregate = replayed(events)
    if not isinstance(aggregate, kind):
        raise RecordNotFound(id)
    return aggregate


def _commit(aggregate: Aggregate, context: CommandContext, version: int = 0, position: int = 0) -> Commit:
    events = tuple(cast("list[Event]", aggregate.collect_events()))
    return Commit(context, aggregate.id, aggregate.subject_id, events, version, position)
