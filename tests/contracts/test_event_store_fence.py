"""What only PostgreSQL has: transactions that take their time, and an idle log that costs nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from services.ports import LogReader
from tests.eventlogs import PostgresLog, append_all, postgres_log, read_all, registrations

SLOW_INSERT = b"""
INSERT INTO log.events (originator_id, originator_version, topic, state)
VALUES (%b, 1, 'lead.qualified', '') RETURNING position
"""
SLOW = UUID(int=1)


@pytest.fixture
async def log(database_url: str, tmp_path: Path) -> AsyncIterator[PostgresLog]:
    async with postgres_log(database_url, tmp_path) as it:
        yield it


@pytest.fixture
async def slow(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[object, ...]]]:
    """A writer that has drawn a position and takes its time."""
    connection = await psycopg.AsyncConnection.connect(database_url)
    await connection.execute(SLOW_INSERT, [SLOW])
    yield connection
    await connection.close()


async def _positions(reader: LogReader, after: int) -> list[UUID | str]:
    return [it.originator_id for it in await reader.read(after, 100)]


async def test_nothing_is_read_past_a_position_that_is_still_being_written(
    log: PostgresLog, slow: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    [commit] = registrations(1)
    outcome = await log.store.append(commit)
    assert await log.reader.read(0, 100) == []
    assert not await log.reader.wait(0, 0.05)
    assert log.reader.fence_wait_seconds > 0.05
    await slow.commit()
    assert await log.reader.wait(0, 10)
    assert await _positions(log.reader, 0) == [SLOW, commit.id]
    assert await log.reader.horizon() == outcome.position


async def test_positions_that_came_to_nothing_are_passed_over(
    log: PostgresLog, slow: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    [commit] = registrations(1)
    await log.store.append(commit)
    await slow.rollback()
    assert await log.reader.wait(0, 10)
    assert await _positions(log.reader, 0) == [commit.id]


async def test_a_reader_does_not_spin_on_positions_that_came_to_nothing(
    log: PostgresLog, slow: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    await slow.rollback()
    started = time.monotonic()
    assert not await log.reader.wait(0, 0.3)
    assert time.monotonic() - started >= 0.3
    assert await log.reader.horizon() == 1


async def test_the_log_ends_with_its_last_event_below_the_fence_not_with_a_position_drawn_in_vain(
    log: PostgresLog, slow: psycopg.AsyncConnection[tuple[object, ...]], database_url: str
) -> None:
    [commit] = registrations(1)
    await slow.rollback()
    assert (await log.reader.horizon(), await log.reader.end()) == (1, 0)
    outcome = await log.store.append(commit)
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute(SLOW_INSERT, [SLOW])
        await other.rollback()
    assert await log.reader.horizon() > outcome.position
    assert await log.reader.end() == outcome.position


async def test_a_record_is_read_at_once_whatever_else_is_being_written(
    log: PostgresLog, slow: psycopg.AsyncConnection[tuple[object, ...]]
) -> None:
    [commit] = registrations(1)
    await log.store.append(commit)
    assert len((await log.store.load(commit.id)).events) == 1
    assert len(await log.reader.events_of(commit.id)) == 1


async def test_an_idle_reader_spends_no_transaction_ids(log: PostgresLog, database_url: str) -> None:
    await append_all(log, registrations(3))
    assert len(await read_all(log)) == 3
    last = await log.reader.horizon()

    def next_id() -> int:
        with psycopg.connect(database_url) as connection:
            [(value,)] = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchall()
            return int(value)

    before = next_id()
    waits = [log.reader.wait(last, 0.5) for _ in range(3)]
    assert await asyncio.gather(*waits) == [False] * 3
    assert next_id() - before < 3  # a look for each would be some twenty; the server's own work may take one


async def test_several_processes_readers_see_the_same_order(
    log: PostgresLog, database_url: str, tmp_path: Path
) -> None:
    async with postgres_log(database_url, tmp_path) as other:
        await asyncio.gather(append_all(log, registrations(200)), append_all(other, registrations(200)))
        here, there = await read_all(log), await read_all(other)
    assert len(here) == 400
    assert here == there
