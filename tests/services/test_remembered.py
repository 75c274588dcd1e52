"""Long records are not read from the beginning each time, and are decided on as if they were."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from domain.lead.aggregate import Lead, LeadIsClosed
from domain.model import Aggregate
from domain.values import LossReason
from infra.memory.eventstore import MemoryEventStore
from infra.memory.snapshots import MemoryAggregateSnapshots
from services.application import Application
from services.ports import CommandContext, Commit, EventStore, History, Outcome
from services.remembered import Remembered
from tests.eventlogs import SteppingClock, context, memory_log

LONG = 20


class Counting:
    """A store that knows how many events were read from it."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.read = 0

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        history = await self._store.load(originator_id, after=after)
        self.read += len(history.events)
        return history

    async def append(self, commit: Commit) -> Outcome:
        return await self._store.append(commit)

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return [await self.append(it) for it in commits]

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        return await self._store.outcome_of(context)


class Noting(MemoryAggregateSnapshots):
    """Snapshots that know of which versions they are."""

    def __init__(self, store: MemoryEventStore) -> None:
        super().__init__(store)
        self.kept: list[int] = []

    def keep(self, aggregate: Aggregate, last: bytes) -> None:
        self.kept.append(aggregate.version)
        super().keep(aggregate, last)


async def a_long_lead(application: Application) -> UUID:
    id = uuid4()

    def captured() -> Lead:
        lead = Lead.capture(id=id, subject_id=uuid4(), source="fair", name="Ada")
        for number in range(LONG):
            lead.assign(owner_id=UUID(int=number))
        return lead

    await application.create(captured, context=context())
    return id


def applications() -> tuple[Counting, Application, Application]:
    """Two processes' over one log; the first one's reads are counted, and it remembers."""
    store = memory_log().store
    counting = Counting(store)
    first = Application(counting, SteppingClock())
    first._remembered = Remembered(long_events=LONG, kept_max=2)
    return counting, first, Application(store, SteppingClock())


async def test_of_a_long_record_only_what_came_since_is_read() -> None:
    counting, application, other = applications()
    id = await a_long_lead(application)
    await application.change(Lead, id, lambda it: it.contact(), context=context())
    assert counting.read == LONG + 1
    await other.change(Lead, id, lambda it: it.assign(owner_id=None), context=context())
    counting.read = 0
    outcome = await application.change(Lead, id, lambda it: it.assign(owner_id=uuid4()), context=context())
    assert counting.read == 3  # the last one that was known is read again
    assert outcome.version == LONG + 4


async def test_what_others_decided_meanwhile_counts() -> None:
    _, application, other = applications()
    id = await a_long_lead(application)
    await application.change(Lead, id, lambda it: it.contact(), context=context())
    await other.change(Lead, id, lambda it: it.lose(cause=LossReason.PRICE), context=context())
    with pytest.raises(LeadIsClosed):
        await application.change(Lead, id, lambda it: it.contact(), context=context())


async def test_a_log_that_lost_what_was_seen_is_read_anew() -> None:
    counting, application, _ = applications()
    id = await a_long_lead(application)
    behind = memory_log().store
    await Application(behind, SteppingClock()).create(
        lambda: Lead.capture(id=id, subject_id=uuid4(), source="fair", name="Ada"), context=context()
    )
    await application.change(Lead, id, lambda it: it.contact(), context=context())
    counting._store = behind
    outcome = await application.change(Lead, id, lambda it: it.assign(owner_id=uuid4()), context=context())
    assert outcome.version == 2


async def test_a_decision_that_was_not_stored_is_not_remembered() -> None:
    _, application, _ = applications()
    id = await a_long_lead(application)

    def lost_and_refused(lead: Lead) -> None:
        lead.lose(cause=LossReason.PRICE)
        lead.contact()

    for _ in range(2):
        with pytest.raises(LeadIsClosed):
            await application.change(Lead, id, lost_and_refused, context=context())
    outcome = await application.change(Lead, id, lambda it: it.contact(), context=context())
    assert outcome.version == LONG + 2


async def test_a_command_that_changes_nothing_answers_with_the_position_of_the_last_event() -> None:
    _, application, _ = applications()
    id = await a_long_lead(application)
    first = await application.change(Lead, id, lambda it: it.contact(), context=context())
    for _ in range(2):
        idle = await application.change(Lead, id, lambda it: None, context=context())
        assert (idle.version, idle.position) == (first.version, first.position)


async def test_only_the_latest_are_kept() -> None:
    counting, application, _ = applications()
    ids = [await a_long_lead(application) for _ in range(3)]
    for id in ids:
        await application.change(Lead, id, lambda it: it.contact(), context=context())
    counting.read = 0
    await application.change(Lead, ids[0], lambda it: it.contact(), context=context())
    assert counting.read == LONG + 2


async def test_another_process_starts_from_the_snapshot_of_the_first() -> None:
    store = memory_log().store
    snapshots = MemoryAggregateSnapshots(store)
    first, other = (Application(store, SteppingClock(), snapshots=snapshots) for _ in range(2))
    first._remembered = Remembered(snapshots, long_events=LONG, snapshot_events=LONG)
    id = await a_long_lead(first)
    await first.change(Lead, id, lambda it: it.contact(), context=context())
    history = await snapshots.load(id)
    assert history.snapshot is not None
    assert history.snapshot.version == LONG + 1
    assert len(history.events) == 2
    await other.change(Lead, id, lambda it: it.lose(cause=LossReason.PRICE), context=context())
    with pytest.raises(LeadIsClosed):
        await first.change(Lead, id, lambda it: it.contact(), context=context())


async def test_a_record_that_grows_while_it_is_remembered_has_a_snapshot_now_and_then() -> None:
    store = memory_log().store
    snapshots = Noting(store)
    application = Application(store, SteppingClock())
    application._remembered = Remembered(snapshots, long_events=LONG, snapshot_events=10)
    id = await a_long_lead(application)
    for _ in range(25):
        await application.change(Lead, id, lambda it: it.assign(owner_id=uuid4()), context=context())
    assert snapshots.kept == [LONG + 1, LONG + 11, LONG + 21]


async def test_a_short_record_has_no_snapshot() -> None:
    store = memory_log().store
    snapshots = Noting(store)
    application = Application(store, SteppingClock(), snapshots=snapshots)
    id = await a_long_lead(application)
    await application.change(Lead, id, lambda it: it.contact(), context=context())
    assert snapshots.kept == []
