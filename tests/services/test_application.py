"""The one way to change an aggregate: repeats, races and refusals."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.customer.aggregate import Customer, CustomerIsArchived
from domain.lead.aggregate import Lead, LeadIsClosed
from domain.model import Event, happening_at
from domain.values import CustomerKind, LawfulBasis, LossReason
from services.application import ATTEMPTS_MAX, Application, Target
from services.ports import (
    CommandContext,
    CommandReused,
    Commit,
    EventStore,
    History,
    Outcome,
    RecordNotFound,
    StaleVersion,
    VersionConflict,
)
from tests.eventlogs import MemoryLog, SteppingClock, context, memory_log

ID, SUBJECT = UUID(int=1), UUID(int=2)
Rival = Callable[[], Awaitable[object]]


@pytest.fixture
def log() -> MemoryLog:
    return memory_log()


@pytest.fixture
def application(log: MemoryLog) -> Application:
    return Application(log.store, SteppingClock())


async def captured(application: Application, **given: Any) -> Outcome:
    return await application.create(
        lambda: Lead.capture(id=ID, subject_id=SUBJECT, source="web", **given), context=context()
    )


def target(**given: Any) -> Target:
    return {"id": ID, "context": context(), **given}  # type: ignore[typeddict-item]


def lose(lead: Lead) -> None:
    lead.lose(cause=LossReason.PRICE)


async def topics(log: MemoryLog) -> list[str]:
    return [it.topic for it in await log.store.read(0, 100)]


class Overtaken:
    """A store where a rival is faster: it goes before each of the first `times` commits."""

    def __init__(self, store: EventStore, rival: Rival, times: int) -> None:
        self._store, self._rival, self._times = store, rival, times

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        return await self._store.load(originator_id, after=after)

    async def append(self, commit: Commit) -> Outcome:
        if self._times:
            self._times -= 1
            await self._rival()
        return await self._store.append(commit)

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return [await self.append(it) for it in commits]

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        return await self._store.outcome_of(context)


def overtaken(application: Application, times: int) -> Application:
    """The application as another process has it, always overtaken by a contact with the same lead."""

    async def rival() -> None:
        await application.change(Lead, decide=lambda it: it.contact(), **target())

    return Application(Overtaken(application.store, rival, times), application.clock)


async def test_a_command_answers_with_the_version_and_the_position_it_led_to(
    application: Application,
) -> None:
    made = await captured(application)
    lost = await application.change(Lead, decide=lose, **target())
    assert (made.id, made.subject_id, made.version, made.position) == (ID, SUBJECT, 1, 1)
    assert (lost.id, lost.subject_id, lost.version, lost.position) == (ID, SUBJECT, 2, 2)
    assert not made.repeated
    assert not lost.repeated


async def test_several_decisions_of_one_creation_are_stored_together(
    application: Application, log: MemoryLog
) -> None:
    def history() -> Lead:
        lead = Lead.capture(id=ID, subject_id=SUBJECT, source="import")
        with happening_at(datetime(2020, 1, 2, tzinfo=UTC)):
            lead.contact()
        lose(lead)
        return lead

    outcome = await application.create(history, context=context())
    assert (outcome.version, outcome.position) == (3, 3)
    events = (await log.store.load(ID)).events
    assert [it.timestamp.year for it in events] == [2026, 2020, 2026]


async def test_what_is_already_so_answers_with_what_it_found(
    application: Application, log: MemoryLog
) -> None:
    await captured(application)
    lost = await application.change(Lead, decide=lose, **target())
    again = await application.change(Lead, decide=lose, **target())
    assert again == lost
    assert await topics(log) == ["lead.captured", "lead.lost"]


async def test_a_repeated_command_gets_the_first_answer_though_it_would_be_refused_now(
    application: Application, log: MemoryLog
) -> None:
    await captured(application)
    command = target()
    first = await application.change(Lead, decide=lambda it: it.contact(), **command)
    await application.change(Lead, decide=lose, **target())
    assert await application.change(Lead, decide=lambda it: it.contact(), **command) == replace(
        first, repeated=True
    )
    assert await topics(log) == ["lead.captured", "lead.contacted", "lead.lost"]


async def test_a_repeated_command_that_expects_a_version_gets_the_first_answer(
    application: Application,
) -> None:
    await captured(application)
    command = target(expected_version=1)
    first = await application.change(Lead, decide=lambda it: it.contact(), **command)
    again = await application.change(Lead, decide=lambda it: it.contact(), **command)
    assert again == replace(first, repeated=True)


async def test_a_repeated_creation_gets_the_first_answer_though_its_id_is_new(
    application: Application,
) -> None:
    command = context()

    def capture() -> Lead:
        return Lead.capture(id=uuid4(), subject_id=uuid4(), source="web")

    first = await application.create(capture, context=command)
    assert await application.create(capture, context=command) == replace(first, repeated=True)


async def test_of_many_creations_each_is_answered_for_itself(application: Application) -> None:
    def capture() -> Lead:
        return Lead.capture(id=uuid4(), subject_id=uuid4(), source="web")

    def break_a_rule() -> Lead:
        lead = capture()
        lose(lead)
        lead.contact()
        return lead

    command = context()
    first = await application.create(capture, context=command)
    stored, refused, repeated = await application.create_all(
        [(capture, context()), (break_a_rule, context()), (capture, command)]
    )
    assert isinstance(stored, Outcome)
    assert stored.position == 2
    assert isinstance(refused, LeadIsClosed)
    assert repeated == replace(first, repeated=True)
    with pytest.raises(ValueError, match="purpose"):
        await application.create_all([(capture, replace(context(), purpose="sales"))])


async def test_a_command_that_decided_nothing_is_remembered_too(application: Application) -> None:
    await captured(application)
    command = target()
    await application.change(Lead, decide=lambda it: it.reopen(), **command)
    await application.change(Lead, decide=lose, **target())
    again = await application.change(Lead, decide=lambda it: it.reopen(), **command)
    assert (again.version, again.repeated) == (1, True)


async def test_one_command_id_is_not_used_for_two_requests(application: Application) -> None:
    await captured(application)
    command = context()
    await application.change(Lead, ID, lambda it: it.contact(), context=command)
    other = replace(command, request_digest=b"another digest")
    with pytest.raises(CommandReused):
        await application.change(Lead, ID, lambda it: it.contact(), context=other)
    await application.change(Lead, ID, lose, context=context())
    with pytest.raises(CommandReused):
        await application.change(Lead, ID, lambda it: it.contact(), context=other)


async def test_a_lost_race_is_decided_anew_on_what_the_winner_left(
    application: Application, log: MemoryLog
) -> None:
    await captured(application)
    await overtaken(application, 1).change(Lead, decide=lose, **target())
    assert await topics(log) == ["lead.captured", "lead.contacted", "lead.lost"]


async def test_a_race_lost_to_a_rule_is_refused(application: Application) -> None:
    """The rival closes the lead between our look at it and our commit."""
    await captured(application)

    async def rival() -> None:
        await application.change(Lead, decide=lose, **target())

    racing = Application(Overtaken(application.store, rival, 1), application.clock)
    with pytest.raises(LeadIsClosed):
        await racing.change(Lead, decide=lambda it: it.contact(), **target())


async def test_who_expects_a_version_is_told_when_the_race_is_lost(
    application: Application, log: MemoryLog
) -> None:
    await captured(application)
    with pytest.raises(StaleVersion):
        await overtaken(application, 1).change(Lead, decide=lose, **target(expected_version=1))
    assert await topics(log) == ["lead.captured", "lead.contacted"]


async def test_a_race_is_given_up_after_so_many_attempts(application: Application) -> None:
    await captured(application)
    await overtaken(application, ATTEMPTS_MAX - 1).change(Lead, decide=lambda it: it.contact(), **target())
    with pytest.raises(VersionConflict):
        await overtaken(application, ATTEMPTS_MAX).change(Lead, decide=lose, **target())


async def test_commands_to_one_record_wait_for_each_other_inside_a_process(
    application: Application, log: MemoryLog
) -> None:
    """More of them than attempts: without turns some would give up."""
    await captured(application)
    count = 4 * ATTEMPTS_MAX
    await asyncio.gather(
        *(application.change(Lead, decide=lambda it: it.contact(), **target()) for _ in range(count))
    )
    assert len(await topics(log)) == 1 + count


@pytest.mark.parametrize("expected", [0, 2])
async def test_another_version_than_expected_is_stale(application: Application, expected: int) -> None:
    await captured(application)
    with pytest.raises(StaleVersion):
        await application.change(Lead, decide=lose, **target(expected_version=expected))


async def test_there_is_nothing_to_change_where_there_is_no_record(application: Application) -> None:
    with pytest.raises(RecordNotFound):
        await application.change(Lead, decide=lose, **target())


async def test_a_record_of_another_kind_is_not_found(application: Application) -> None:
    await captured(application)
    with pytest.raises(RecordNotFound):
        await application.change(Customer, decide=Customer.archive, **target())


async def test_an_id_is_not_given_twice(application: Application) -> None:
    await captured(application)
    with pytest.raises(VersionConflict):
        await captured(application)


async def test_a_refused_command_stores_nothing_and_may_be_allowed_later(
    application: Application, log: MemoryLog
) -> None:
    person: dict[str, Any] = {
        "kind": CustomerKind.PERSON,
        "lawful_basis": LawfulBasis.CONTRACT,
        "name": "Ada",
    }
    await application.create(
        lambda: Customer.register(id=ID, subject_id=SUBJECT, source="web", purpose="orders", **person),
        context=context(),
    )
    await application.change(Customer, decide=Customer.archive, **target())
    command = target()
    with pytest.raises(CustomerIsArchived):
        await application.change(Customer, decide=lambda it: it.segment(segment="smb"), **command)
    await application.change(Customer, decide=Customer.reinstate, **target())
    allowed = await application.change(Customer, decide=lambda it: it.segment(segment="smb"), **command)
    assert (allowed.version, allowed.repeated) == (4, False)


async def test_a_decision_happens_when_the_edge_says_it_did(application: Application, log: MemoryLog) -> None:
    moment = datetime(2019, 5, 6, tzinfo=UTC)
    await application.create(
        lambda: Lead.capture(id=ID, subject_id=SUBJECT, source="web"), context=context(occurred_at=moment)
    )
    event: Event = (await log.store.load(ID)).events[0]
    assert event.timestamp == moment


def test_the_domain_has_no_clock_of_its_own() -> None:
    with pytest.raises(LookupError):
        Lead.capture(id=ID, subject_id=SUBJECT, source="web")
