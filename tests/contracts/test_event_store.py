"""The contract of the event log, on PostgreSQL and on its in-memory twin."""

import asyncio
from dataclasses import replace

import pytest

from domain.customer.events import CustomerNoteWritten, CustomerRegistered
from domain.model import Category, Sealed
from services.ports import (
    CommandReused,
    Outcome,
    SubjectIsErased,
    VersionConflict,
)
from tests.eventlogs import (
    Log,
    Person,
    append_all,
    context,
    mapped,
    read_all,
    registrations,
)


async def test_what_is_appended_is_loaded_again_in_order_and_sealed(log: Log) -> None:
    ada = Person()
    await log.store.append(ada.commit(ada.registered(), ada.noted(2)))
    outcome = await log.store.append(ada.commit(ada.archived(3)))
    history = await log.store.load(ada.id)
    registered, noted, archived = history.events
    assert isinstance(registered, CustomerRegistered)
    assert isinstance(noted, CustomerNoteWritten)
    assert archived == ada.archived(3)
    assert registered.source == "web"
    assert isinstance(registered.name, Sealed)
    assert (registered.name.subject_id, registered.name.category) == (ada.subject_id, Category.IDENTITY)
    assert registered.phone is None
    assert isinstance(noted.text, Sealed)
    assert outcome == Outcome(ada.id, ada.subject_id, 3, history.position)


async def test_the_stored_form_holds_no_personal_value(log: Log) -> None:
    ada = Person()
    await log.store.append(ada.commit(ada.registered(), ada.noted(2), reason="Ada asked on the phone"))
    for notification in await read_all(log):
        for clear in (b"Ada", b"Lovelace", b"ada@example.org", b"Prefers tea", b"on the phone"):
            assert clear not in notification.state


async def test_the_envelope_is_read_back_its_reason_sealed(log: Log) -> None:
    ada = Person()
    told = context(
        reason="Ada asked", causation_id=ada.id, traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    )
    await log.store.append(replace(ada.commit(ada.registered()), context=told))
    [recorded] = mapped(log, await read_all(log))
    envelope = recorded.envelope
    assert envelope.command_id == told.command_id
    assert envelope.correlation_id == told.correlation_id
    assert (envelope.actor, envelope.causation_id, envelope.traceparent) == (
        told.actor,
        told.causation_id,
        told.traceparent,
    )
    assert recorded.event.timestamp == told.occurred_at
    assert envelope.recorded_at > told.occurred_at
    assert isinstance(envelope.reason, Sealed)
    assert (envelope.reason.subject_id, envelope.reason.category) == (ada.subject_id, Category.CONVERSATION)


async def test_a_record_without_events_has_an_empty_history(log: Log) -> None:
    history = await log.store.load(Person().id)
    assert (list(history.events), history.position) == ([], 0)


async def test_a_repeated_command_gets_the_first_answer(log: Log) -> None:
    ada = Person()
    commit = ada.commit(ada.registered())
    first = await log.store.append(commit)
    other = Person()
    retried = replace(other.commit(other.registered()), context=commit.context)
    assert await log.store.append(retried) == replace(first, repeated=True)
    assert await log.store.outcome_of(commit.context) == replace(first, repeated=True)
    assert len(await read_all(log)) == 1


async def test_a_command_that_changed_nothing_is_remembered_too(log: Log) -> None:
    ada = Person()
    made = await log.store.append(ada.commit(ada.registered()))
    idle = ada.commit(version=1, position=made.position)
    first = await log.store.append(idle)
    assert (first.version, first.position, first.repeated) == (1, made.position, False)
    await log.store.append(ada.commit(ada.archived(2)))
    assert await log.store.append(idle) == replace(first, repeated=True)


async def test_a_command_id_is_not_used_for_another_request(log: Log) -> None:
    ada = Person()
    commit = ada.commit(ada.registered())
    await log.store.append(commit)
    reused = replace(commit.context, request_digest=b"another")
    with pytest.raises(CommandReused):
        await log.store.append(replace(commit, context=reused))
    with pytest.raises(CommandReused):
        await log.store.outcome_of(reused)


async def test_two_requests_under_one_command_id_at_once_are_told_apart(log: Log) -> None:
    ada = Person()
    commit = ada.commit(ada.registered())
    other = replace(commit, context=replace(commit.context, request_digest=b"another"))
    sent = [commit, other, commit, other]
    answers = await asyncio.gather(*map(log.store.append, sent), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Outcome, CommandReused, Outcome, CommandReused]


async def test_an_unknown_command_has_no_outcome(log: Log) -> None:
    assert await log.store.outcome_of(context()) is None


async def test_of_two_commits_of_one_version_one_is_refused_and_its_neighbours_are_stored(log: Log) -> None:
    ada, neighbours = Person(), registrations(5)
    rivals = [ada.commit(ada.registered()) for _ in range(2)]
    commits = [*neighbours[:2], rivals[0], neighbours[2], rivals[1], *neighbours[3:]]
    answers = await asyncio.gather(*map(log.store.append, commits), return_exceptions=True)
    assert sum(isinstance(answer, VersionConflict) for answer in answers) == 1
    assert sum(isinstance(answer, Outcome) for answer in answers) == 6
    assert len(await read_all(log)) == 6


async def test_of_many_appended_at_once_each_is_answered_for_itself(log: Log) -> None:
    ada, erased, neighbours = Person(), Person(), registrations(3)
    await log.ring.shred(erased.subject_id)
    first, rival = (ada.commit(ada.registered()) for _ in range(2))
    told = erased.commit(erased.registered())
    answers = await log.store.append_all([neighbours[0], first, neighbours[1], told, rival, neighbours[2]])
    kinds = [Outcome, Outcome, Outcome, SubjectIsErased, VersionConflict, Outcome]
    assert [type(it) for it in answers] == kinds
    again, _ = await log.store.append_all([first, *registrations(1)])
    assert again == await log.store.append(first)
    assert isinstance(again, Outcome)
    assert again.repeated
    assert len(await read_all(log)) == 5
    assert await log.store.append_all([]) == []


async def test_one_command_sent_many_times_at_once_is_applied_once(log: Log) -> None:
    ada = Person()
    commit = ada.commit(ada.registered())
    answers = await asyncio.gather(*(log.store.append(commit) for _ in range(20)))
    assert {replace(answer, repeated=False) for answer in answers} == {replace(answers[0], repeated=False)}
    assert sum(not answer.repeated for answer in answers) == 1
    assert len(await read_all(log)) == 1


async def test_the_events_of_a_commit_are_stored_together_or_not_at_all(log: Log) -> None:
    ada = Person()
    await log.store.append(ada.commit(ada.registered(), ada.noted(2)))
    with pytest.raises(VersionConflict):
        await log.store.append(ada.commit(ada.noted(3), ada.noted(2)))
    assert len((await log.store.load(ada.id)).events) == 2


async def test_nothing_is_sealed_for_an_erased_subject_but_public_facts_go_on(log: Log) -> None:
    ada, grace = Person(), Person()
    await log.store.append(ada.commit(ada.registered()))
    await log.ring.shred(ada.subject_id)
    answers = await asyncio.gather(
        log.store.append(ada.commit(ada.noted(2))),
        log.store.append(grace.commit(grace.registered())),
        return_exceptions=True,
    )
    assert isinstance(answers[0], SubjectIsErased)
    assert isinstance(answers[1], Outcome)
    assert (await log.store.append(ada.commit(ada.archived(2)))).version == 2
    with pytest.raises(SubjectIsErased):
        await log.store.append(ada.commit(ada.archived(3), reason="a reason is about somebody too"))


async def test_a_command_from_before_the_erasure_keeps_its_first_answer(log: Log) -> None:
    ada = Person()
    commit = ada.commit(ada.registered())
    first = await log.store.append(commit)
    await log.ring.shred(ada.subject_id)
    assert await log.store.append(commit) == replace(first, repeated=True)


async def test_a_refused_command_may_be_sent_again(log: Log) -> None:
    ada = Person()
    await log.store.append(ada.commit(ada.registered()))
    stale = ada.commit(ada.registered())
    with pytest.raises(VersionConflict):
        await log.store.append(stale)
    again = replace(ada.commit(ada.archived(2)), context=stale.context)
    assert (await log.store.append(again)).repeated is False


async def test_a_commit_that_cannot_be_sealed_fails_alone(log: Log) -> None:
    broken, others = Person(), registrations(3)
    commits = [*others[:2], broken.commit(broken.registered(name="\ud800")), others[2]]
    answers = await asyncio.gather(*map(log.store.append, commits), return_exceptions=True)
    assert [isinstance(answer, Outcome) for answer in answers] == [True, True, False, True]
    assert len(await read_all(log)) == 3


async def test_of_many_appended_at_once_one_that_cannot_be_sealed_keeps_no_other_from_the_log(
    log: Log,
) -> None:
    broken, others = Person(), registrations(3)
    commits = [*others[:1], broken.commit(broken.registered(name="\ud800")), *others[1:]]
    with pytest.raises(UnicodeEncodeError):
        await log.store.append_all(commits)
    assert len(await read_all(log)) == 3


async def test_positions_order_each_records_versions(log: Log) -> None:
    people = [Person() for _ in range(8)]
    for version in range(1, 4):
        events = [it.registered() if version == 1 else it.noted(version) for it in people]
        await append_all(log, [it.commit(event) for it, event in zip(people, events, strict=True)])
    notifications = await read_all(log)
    assert [it.id for it in notifications] == sorted({it.id for it in notifications})
    for person in people:
        versions = [it.originator_version for it in notifications if it.originator_id == person.id]
        assert versions == [1, 2, 3]


async def test_the_log_is_read_in_pages(log: Log) -> None:
    await append_all(log, registrations(10))
    everything = await read_all(log)
    assert list(await log.reader.read(0, 4)) == everything[:4]
    assert list(await log.reader.read(everything[3].id, 100)) == everything[4:]
    assert list(await log.reader.read(everything[-1].id, 100)) == []
    assert await log.reader.horizon() >= everything[-1].id


async def test_events_are_found_by_record_and_by_position(log: Log) -> None:
    ada = Person()
    await append_all(log, registrations(3))
    await log.store.append(ada.commit(ada.registered(), ada.noted(2)))
    await append_all(log, registrations(3))
    everything = await read_all(log)
    of_ada = await log.reader.events_of(ada.id)
    assert [it.originator_version for it in of_ada] == [1, 2]
    assert list(of_ada) == [it for it in everything if it.originator_id == ada.id]
    chosen = [everything[5], everything[1]]
    found = await log.reader.at_positions([it.id for it in chosen] + [10**9])
    assert list(found) == sorted(chosen, key=lambda it: it.id)


async def test_a_waiting_reader_is_woken_by_an_append(log: Log) -> None:
    last = (await log.store.append(registrations(1)[0])).position
    assert not await log.reader.wait(last, 0.02)
    waiting = asyncio.create_task(log.reader.wait(last, 20))
    await asyncio.sleep(0.01)
    await log.store.append(registrations(1)[0])
    assert await waiting
    assert len(await log.reader.read(last, 10)) == 1
