"""Group commit: whatever has queued while the last transactions ran goes into the next one."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from psycopg import OperationalError
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolTimeout

from infra.eventstore.committing import Answer, GroupTransaction, Pool
from infra.eventstore.mapper import EventMapper
from services.ports import Clock, Commit, KeyRing, Outcome, Refused, Unavailable

GROUP_MAX = 500
QUEUE_MAX = 10_000
LANES = 2
"""Groups under way at once: one is sealed while PostgreSQL stores the other."""
OUTAGES_MAX = 4
PAUSE_SECONDS = 0.05


@dataclass(slots=True)
class _Pending:
    commit: Commit
    answer: "asyncio.Future[Outcome]"
    uncertain: bool = False
    """The line was lost while it was being stored: its first answer may be there already."""

    @property
    def id(self) -> UUID:
        return self.commit.context.command_id

    @property
    def claims(self) -> set[object]:
        """What no other commit of the same group may claim."""
        return {self.id, *((it.originator_id, it.originator_version) for it in self.commit.events)}

    def settle(self, answer: Outcome | Exception) -> None:
        if self.answer.done():  # the caller has gone away
            return
        if isinstance(answer, Outcome):
            self.answer.set_result(replace(answer, repeated=False) if self.uncertain else answer)
        else:
            self.answer.set_exception(answer)


class Appender:
    """Stores commits durably, many in one transaction. Belongs to one event loop.

    A commit that cannot be stored fails alone. A cancelled caller's commit may be stored or not: its command
    id tells. `stored` is called after each transaction, to wake readers.
    """

    def __init__(
        self,
        pool: Pool,
        mapper: EventMapper,
        ring: KeyRing,
        clock: Clock,
        *,
        stored: Callable[[], None] = lambda: None,
        group_max: int = GROUP_MAX,
        queue_max: int = QUEUE_MAX,
        lanes: int = LANES,
    ) -> None:
        self._pool = pool
        self._transaction = GroupTransaction(pool, mapper, ring, clock)
        self._stored = stored
        self._group_max = group_max
        self._queue_max = queue_max
        self._queue: deque[_Pending] = deque()
        self._work = asyncio.Event()
        self._lanes = lanes
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def append(self, commit: Commit) -> Outcome:
        """Answer once the commit is durable. Raises as `services.ports.EventStore.append`."""
        [answer] = self._queued([commit])
        return await answer

    async def append_all(self, commits: Sequence[Commit]) -> list[Outcome | Refused | Unavailable]:
        """As `services.ports.EventStore.append_all`. Without a task for each of them."""
        answers: list[Outcome | Refused | Unavailable] = []
        for it in await asyncio.gather(*self._queued(commits), return_exceptions=True):
            if not isinstance(it, Outcome | Refused | Unavailable):
                raise it
            answers.append(it)
        return answers

    def _queued(self, commits: Sequence[Commit]) -> "list[asyncio.Future[Outcome]]":
        if self._closing:
            raise Unavailable("the log is closing")
        if len(self._queue) >= self._queue_max:
            raise Unavailable("too many commands are waiting")
        loop = asyncio.get_running_loop()
        if not self._tasks:
            self._tasks = [loop.create_task(self._run(), name="appender") for _ in range(self._lanes)]
        pending = [_Pending(it, loop.create_future()) for it in commits]
        self._queue.extend(pending)
        self._work.set()
        return [it.answer for it in pending]

    async def close(self) -> None:
        """Store what is queued, and take no more."""
        self._closing = True
        self._work.set()
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        try:
            while group := await self._take():
                await self._commit(group)
        finally:
            # Something is left only where this task is cancelled or broken: nobody waits for ever.
            self._closing = True
            for pending in self._queue:
                pending.settle(Unavailable("the log was closed"))

    async def _take(self) -> list[_Pending]:
        """The next group; none only once the queue is empty for good."""
        group: list[_Pending] = []
        while not group:
            while not self._queue:
                if self._closing:
                    return []
                self._work.clear()
                await self._work.wait()
            while self._queue and len(group) < self._group_max:
                pending = self._queue.popleft()
                if not pending.answer.done():
                    group.append(pending)
        return group

    async def _commit(self, group: list[_Pending]) -> None:
        """Settle every member of the group, whatever happens."""
        try:
            await self._attempt(group)
        except OperationalError as error:
            for pending in group:
                pending.settle(_unavailable(error))
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits for the answer
            if len(group) == 1:
                group[0].settle(error)
                return
            # Whose fault it is shows when each is stored alone.
            for pending in group:
                await self._commit([pending])
        except BaseException:
            for pending in group:
                pending.settle(Unavailable("the log was closed"))
            raise

    async def _attempt(self, group: list[_Pending]) -> None:
        """Store the group; again what is left of it after a lost line or a lost race.

        Storing again is safe also where the answer to COMMIT was lost: a stored command is found by its id
        and answered, and one that is still under way makes this one wait for it.
        """
        outages = 0
        while waiting := [pending for pending in group if not pending.answer.done()]:
            try:
                await self._answer_some(waiting)
            except OperationalError as error:
                if (outages := outages + 1) == OUTAGES_MAX or isinstance(error, PoolTimeout):
                    raise
                for pending in waiting:
                    pending.uncertain = True
                await asyncio.sleep(PAUSE_SECONDS * outages)
                await self._pool.check()

    async def _answer_some(self, waiting: Sequence[_Pending]) -> None:
        """Settle those that are stored, or those that can be stored no more: one at least."""
        compatible = _compatible(waiting)
        try:
            answers = await self._transaction.store([pending.commit for pending in compatible])
        except UniqueViolation:
            decided = await self._transaction.decided([pending.commit for pending in waiting])
            if not any(decided):
                raise
            _settle(waiting, decided)
        else:
            self._stored()
            _settle(compatible, answers)


def _settle(group: Sequence[_Pending], answers: Sequence[Answer | None]) -> None:
    for pending, answer in zip(group, answers, strict=True):
        if answer is not None:
            pending.settle(answer)


def _compatible(waiting: Sequence[_Pending]) -> list[_Pending]:
    """Those that contradict no earlier one; the rest sees what became of that."""
    compatible: list[_Pending] = []
    claimed: set[object] = set()
    for pending in waiting:
        claims = pending.claims
        if not claims & claimed:
            compatible.append(pending)
        claimed |= claims
    return compatible


def _unavailable(cause: Exception) -> Unavailable:
    error = Unavailable("the database cannot be reached just now")
    error.__cause__ = cause
    return error
