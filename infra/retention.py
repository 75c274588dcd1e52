"""Applies retention policies: finds what is past them, and erases it by category. May be stopped anywhere."""

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID, uuid5

from domain.model import Category
from domain.values import ErasureGround
from projections.rights import RetentionFilter
from projections.views import Views
from services.erasures import Erasures
from services.ports import (
    NOTHING_STANDS,
    Clock,
    CommandContext,
    KeyName,
    KeyRing,
    LogReader,
    SubjectIsHeld,
    Unavailable,
)
from services.retention import Because, Finding, Holding, Policies, Policy, findings, watched

ACTOR: Final = "lethe-retention"
POLICIES_MAX: Final = 1_000
BATCH: Final = 500
VIEWS_SECONDS_MAX: Final = 10.0
Progress = Callable[[int], None]
"""Told how many people's data has gone so far."""


class Holdings(Protocol):
    """Reads which records name whom, as the views show it."""

    def everybody(
        self, topics: Collection[str], *, after: UUID | None = None
    ) -> AsyncGenerator[tuple[UUID, Sequence[Holding]], None]:
        """Everybody from the first id above `after`, in order of id, with the records that name them."""
        ...

    async def of(
        self, subject_ids: Collection[UUID], topics: Collection[str]
    ) -> Mapping[UUID, Sequence[Holding]]:
        """The same for these people only."""
        ...


@dataclass(slots=True)
class Tally:
    """What a run found: people and categories that are due, or went; and why what is past is kept."""

    people: int = 0
    categories: Counter[Category] = field(default_factory=Counter)
    kept: Counter[Because] = field(default_factory=Counter)

    def add(self, found: Sequence[Finding]) -> None:
        due = [it.category for it in found if it.due]
        self.people += bool(due)
        self.categories.update(due)
        self.kept.update({keep.because for it in found for keep in it.keeps})


class RetentionRunner:
    """Plans and applies. What is erased is not found again, so a run that was stopped is simply repeated."""

    def __init__(
        self,
        holdings: Holdings,
        views: Views,
        reader: LogReader,
        ring: KeyRing,
        erasures: Erasures,
        clock: Clock,
    ) -> None:
        self._holdings = holdings
        self._views = views
        self._reader = reader
        self._ring = ring
        self._erasures = erasures
        self._clock = clock

    async def policies(self) -> Policies:
        """Those in force."""
        rows = await self._views.rights.list_policies(RetentionFilter(living=True), limit=POLICIES_MAX)
        policies = [Policy(it.kind, Category(it.category), it.days, tuple(it.after)) for it in rows]
        return {(it.kind, it.category): it for it in policies}

    async def plan(self, at: datetime, *, after: UUID | None = None) -> AsyncGenerator[list[Finding], None]:
        """Person by person, in order of id, what is past a policy then: what would go, and what is kept why.

        A category that was never sealed for the person is left out, as is what is erased already.
        """
        policies = await self.policies()
        if not policies:
            return
        batch: dict[UUID, Sequence[Holding]] = {}
        async with aclosing(self._holdings.everybody(watched(policies), after=after)) as everybody:
            async for subject_id, holdings in everybody:
                batch[subject_id] = holdings
                if len(batch) == BATCH:
                    for found in await self._judged(batch, policies, at):
                        yield found
                    batch = {}
        for found in await self._judged(batch, policies, at):
            yield found

    async def apply(self, at: datetime, progress: Progress = lambda people: None) -> Tally:
        """Erase what is due, on the ground of storage limitation. Raises `Unavailable` where views lag."""
        if not await self._views.wait_for(await self._reader.end(), VIEWS_SECONDS_MAX):
            raise Unavailable("the views are too far behind to say what is past its time")
        policies, tally = await self.policies(), Tally()
        # Gathered first: an open cursor over the whole timeline would hold back PostgreSQL's clean-up.
        due: list[UUID] = []
        async for found in self.plan(at):
            if any(it.due for it in found):
                due.append(found[0].subject_id)
            else:
                tally.add(found)
        for start in range(0, len(due), BATCH):
            # Looked at again: since the plan somebody may have come back.
            holdings = await self._holdings.of(due[start : start + BATCH], watched(policies))
            for found in await self._judged(holdings, policies, at):
                tally.add(await self._erase(found))
                progress(tally.people)
        return tally

    async def _erase(self, found: Sequence[Finding]) -> Sequence[Finding]:
        """What came of it: a hold may be faster, and then the data is kept."""
        due = sorted(it.category for it in found if it.due)
        if not due:
            return found
        subject_id = found[0].subject_id
        id = uuid5(subject_id, f"retention/{','.join(due)}")
        try:
            await self._erasures.erase(
                id=id,
                erased_subject_id=subject_id,
                ground=ErasureGround.STORAGE_LIMITATION,
                categories=due,
                context=self._context(id),
            )
        except SubjectIsHeld:
            return []
        return found

    async def _judged(
        self, holdings: Mapping[UUID, Sequence[Holding]], policies: Policies, at: datetime
    ) -> list[list[Finding]]:
        standings = await self._ring.standings(list(holdings))
        found = [
            it
            for id, held in holdings.items()
            for it in findings(id, held, policies, standings.get(id, NOTHING_STANDS), at)
        ]
        # One was never sealed, where the ring has no key of its name: there is nothing to erase.
        keys = await self._ring.fetch([(it.subject_id, it.category) for it in found])
        people: dict[UUID, list[Finding]] = defaultdict(list)
        for it in found:
            name: KeyName = (it.subject_id, it.category)
            if keys[name] is not None:
                people[it.subject_id].append(it)
        return list(people.values())

    def _context(self, erasure_id: UUID) -> CommandContext:
        """The same command each time, so that two runs which overlap ask once."""
        command_id = uuid5(erasure_id, "request")
        return CommandContext(
            command_id=command_id,
            request_digest=erasure_id.bytes,
            actor=ACTOR,
            occurred_at=self._clock.now(),
            correlation_id=command_id,
        )


async def tallied(plan: AsyncIterator[list[Finding]]) -> Tally:
    """What a plan comes to."""
    tally = Tally()
    async for found in plan:
        tally.add(found)
    return tally
