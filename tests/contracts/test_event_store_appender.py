"""The appender: groups, its queue, callers that go away, and a database that does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.ports import Commit, KeyLost, Outcome, Unavailable
from tests.eventlogs import PostgresLog, append_all, postgres_log, read_all, registrations
from tests.faults.proxy import proxy_before


@pytest.fixture
async def log(database_url: str, tmp_path: Path) -> AsyncIterator[PostgresLog]:
    async with postgres_log(database_url, tmp_path) as it:
        yield it


async def test_what_has_queued_shares_a_transaction(log: PostgresLog) -> None:
    await append_all(log, registrations(100), writers=100)
    async with log.pool.connection() as connection:
        cursor = await connection.execute("SELECT count(DISTINCT xid), count(*) FROM log.events")
        [(transactions, events)] = await cursor.fetchall()
    assert events == 100
    assert transactions <= 3


async def test_a_full_queue_refuses_at_once(database_url: str, tmp_path: Path) -> None:
    async with postgres_log(database_url, tmp_path, queue_max=5) as log:
        commits = registrations(8)
        answers = await asyncio.gather(*map(log.store.append, commits), return_exceptions=True)
        assert [isinstance(answer, Outcome) for answer in answers] == [True] * 5 + [False] * 3
        assert all(isinstance(answer, Unavailable) for answer in answers[5:])
        assert isinstance(await log.store.append(commits[-1]), Outcome)


async def test_a_caller_that_goes_away_harms_nobody(log: PostgresLog) -> None:
    commits = registrations(6)
    tasks = [asyncio.create_task(log.store.append(commit)) for commit in commits]
    await asyncio.sleep(0)
    tasks[2].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[2], asyncio.CancelledError)
    assert sum(isinstance(answer, Outcome) for answer in answers) == 5
    assert isinstance(await log.store.append(commits[2]), Outcome)
    assert len(await read_all(log)) == 6


async def test_callers_that_all_go_away_do_not_stop_the_appender(log: PostgresLog) -> None:
    task = asyncio.create_task(log.store.append(registrations(1)[0]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert isinstance(await log.store.append(registrations(1)[0]), Outcome)


async def test_closing_stores_what_is_queued_and_takes_no_more(log: PostgresLog) -> None:
    tasks = [asyncio.create_task(log.store.append(commit)) for commit in registrations(20)]
    await asyncio.sleep(0)
    await log.appender.close()
    assert all(isinstance(answer, Outcome) for answer in await asyncio.gather(*tasks))
    with pytest.raises(Unavailable, match="closing"):
        await log.store.append(registrations(1)[0])


async def test_while_the_database_is_away_commands_are_refused_and_afterwards_taken(
    database_url: str, tmp_path: Path
) -> None:
    async with proxy_before(database_url) as proxy, postgres_log(proxy.url, tmp_path) as log:
        commits = registrations(4)
        await log.store.append(commits[0])
        await proxy.stop()
        answers = await asyncio.gather(*map(log.store.append, commits[1:]), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 3
        with pytest.raises(Unavailable):
            await log.store.load(commits[0].id)
        await proxy.start()
        for commit in commits:
            assert isinstance(await _in_time(log, commit), Outcome)
        assert len(await read_all(log)) == 4


async def _in_time(log: PostgresLog, commit: Commit) -> Outcome:
    async with asyncio.timeout(30):
        while True:
            try:
                return await log.store.append(commit)
            except Unavailable:
                await asyncio.sleep(0.1)


async def test_a_lost_key_fails_its_own_command_only(log: PostgresLog) -> None:
    """The key store is damaged under the ring: the one command that needs the key is refused, loudly."""
    hurt, *others = registrations(4)
    await log.store.append(hurt)
    async with log.pool.connection() as connection:
        await connection.execute(
            "UPDATE keys.data_keys SET wrapped = set_byte(wrapped, 20, 255 - get_byte(wrapped, 20))"
            " WHERE subject_id = %s",
            [hurt.subject_id],
        )
    again = registrations(1)[0]
    event = again.events[0].model_copy(update={"subject_id": hurt.subject_id})
    needs_it = replace(again, subject_id=hurt.subject_id, events=(event,))
    commits = [others[0], needs_it, *others[1:]]
    answers = await asyncio.gather(*map(log.store.append, commits), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Outcome, KeyLost, Outcome, Outcome]
