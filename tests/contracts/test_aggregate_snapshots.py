"""The contract of snapshots of long records, on PostgreSQL and in memory; and what becomes of unfit ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from domain.lead.aggregate import Lead
from domain.model import Aggregate
from domain.values import LossReason
from infra.eventstore.snapshots import PostgresAggregateSnapshots
from infra.memory.snapshots import MemoryAggregateSnapshots
from infra.postgres.database import open_pool
from services.application import Application
from services.ports import DataKey, History
from services.remembered import replayed
from tests.eventlogs import (
    Log,
    MemoryLog,
    PostgresLog,
    SteppingClock,
    context,
    postgres_log,
)

KEY = DataKey("of snapshots", bytes(range(32)))
Snapshots = MemoryAggregateSnapshots | PostgresAggregateSnapshots


def snapshots_of(log: Log) -> Snapshots:
    if isinstance(log, MemoryLog):
        return MemoryAggregateSnapshots(log.store)
    return PostgresAggregateSnapshots(log.pool, log.mapper, KEY)


@pytest.fixture
async def stored(database_url: str, tmp_path: Path) -> AsyncIterator[PostgresLog]:
    async with postgres_log(database_url, tmp_path) as it:
        yield it


async def a_lead(log: Log, id: UUID | None = None, *, changes: int = 4) -> UUID:
    """With an event for each change, and the first."""
    id = id or uuid7()

    def captured() -> Lead:
        lead = Lead.capture(id=id, subject_id=uuid7(), source="fair", name="Ada")
        for number in range(changes):
            lead.assign(owner_id=UUID(int=number))
        return lead

    await Application(log.store, SteppingClock()).create(captured, context=context())
    return id


async def lost(log: Log, id: UUID) -> None:
    application = Application(log.store, SteppingClock())
    await application.change(Lead, id, lambda it: it.lose(cause=LossReason.PRICE), context=context())


def seen(history: History) -> tuple[int | None, list[int]]:
    """The version of the snapshot, and those of the events that came with it."""
    version = None if history.snapshot is None else history.snapshot.version
    return version, [it.originator_version for it in history.events]


def aggregate_of(history: History) -> Aggregate:
    if history.snapshot is None:
        aggregate = replayed(history.events)
    else:
        aggregate = replayed(history.events[1:], history.snapshot)
    assert aggregate is not None
    return aggregate


async def keep(snapshots: Snapshots, log: Log, id: UUID) -> Aggregate:
    """A snapshot of the record as it is now."""
    history = await log.store.load(id)
    snapshots.keep(aggregate := aggregate_of(history), history.last)
    await snapshots.close()
    return aggregate


async def test_a_record_without_a_snapshot_is_read_from_the_beginning(log: Log) -> None:
    id = await a_lead(log)
    assert await snapshots_of(log).load(id) == await log.store.load(id)
    assert await snapshots_of(log).load(uuid7()) == History([], 0)


async def test_with_a_snapshot_its_last_event_is_read_and_what_came_since(log: Log) -> None:
    snapshots, id = snapshots_of(log), await a_lead(log)
    await keep(snapshots, log, id)
    assert seen(await snapshots.load(id)) == (5, [5])
    await lost(log, id)
    shortened, whole = await snapshots.load(id), await log.store.load(id)
    assert seen(shortened) == (5, [5, 6])
    assert (shortened.position, shortened.last) == (whole.position, whole.last)
    assert vars(aggregate_of(shortened)) == vars(aggregate_of(whole))


async def test_what_is_done_to_a_loaded_record_does_not_reach_the_snapshot(log: Log) -> None:
    snapshots, id = snapshots_of(log), await a_lead(log)
    kept = await keep(snapshots, log, id)
    kept.owner_id = UUID(int=99)  # type: ignore[attr-defined]
    for _ in range(2):
        loaded = aggregate_of(await snapshots.load(id))
        assert loaded.owner_id == UUID(int=3)  # type: ignore[attr-defined]
        loaded.owner_id = UUID(int=99)  # type: ignore[attr-defined]


async def test_of_two_snapshots_the_newer_one_stays_whoever_is_last(log: Log) -> None:
    snapshots, id = snapshots_of(log), await a_lead(log)
    earlier = await log.store.load(id)
    await lost(log, id)
    await keep(snapshots, log, id)
    snapshots.keep(aggregate_of(earlier), earlier.last)
    await snapshots.close()
    assert seen(await snapshots.load(id)) == (6, [6])


async def test_a_snapshot_of_events_that_the_log_lost_is_thrown_away(log: Log) -> None:
    """As where a copy of the log takes over that lacks what was written last."""
    snapshots, id = snapshots_of(log), await a_lead(log)
    await lost(log, id)
    await keep(snapshots, log, id)
    await forget(log, id, 6)
    assert seen(await snapshots.load(id)) == (None, [1, 2, 3, 4, 5])
    application = Application(log.store, SteppingClock())
    await application.change(Lead, id, lambda it: it.contact(), context=context())
    await snapshots.close()
    assert seen(await snapshots.load(id)) == (None, [1, 2, 3, 4, 5, 6])


async def test_a_snapshot_of_another_last_event_is_thrown_away(log: Log) -> None:
    snapshots, id = snapshots_of(log), await a_lead(log)
    await lost(log, id)
    await keep(snapshots, log, id)
    await forget(log, id, 6)
    application = Application(log.store, SteppingClock())
    await application.change(Lead, id, lambda it: it.contact(), context=context())
    loaded = aggregate_of(await snapshots.load(id))
    assert vars(loaded) == vars(aggregate_of(await log.store.load(id)))


async def forget(log: Log, id: UUID, version: int) -> None:
    if isinstance(log, MemoryLog):
        log.store._log = [it for it in log.store._log if it.originator_version != version]
        log.store._versions.discard((id, version))
        return
    async with log.pool.connection() as connection:
        await connection.execute(
            "DELETE FROM log.events WHERE originator_id = %s AND originator_version = %s", [id, version]
        )


async def rows(log: PostgresLog) -> list[tuple[Any, ...]]:
    async with log.pool.connection() as connection:
        cursor = connection.cursor(binary=True)
        await cursor.execute("SELECT originator_id, version, form, state, seal FROM log.snapshots")
        return await cursor.fetchall()


async def put(log: PostgresLog, row: tuple[Any, ...]) -> None:
    async with log.pool.connection() as connection:
        await connection.execute("TRUNCATE log.snapshots")
        await connection.execute("INSERT INTO log.snapshots VALUES (%s, %s, %s, %s, %s)", row)


async def test_no_flipped_bit_is_decided_on(stored: PostgresLog) -> None:
    snapshots, id = snapshots_of(stored), await a_lead(stored)
    other = await a_lead(stored)
    whole = await keep(snapshots, stored, id)
    [row] = await rows(stored)
    changed: list[tuple[Any, ...]] = [(id, version, *row[2:]) for version in (1, 3, 4, 6, 5 + 2**40)]
    for column in (2, 3, 4):
        for place in range(len(row[column])):
            raw = bytearray(row[column])
            raw[place] ^= 1 << place % 8
            changed.append((*row[:column], bytes(raw), *row[column + 1 :]))
    for it in changed:
        await put(stored, it)
        history = await snapshots.load(id)
        assert history.snapshot is None
        assert vars(aggregate_of(history)) == vars(whole)
    await put(stored, (other, *row[1:]))
    assert (await snapshots.load(other)).snapshot is None
    await put(stored, row)
    await snapshots.close()


async def test_a_snapshot_that_does_not_fit_is_gone_and_makes_room(stored: PostgresLog) -> None:
    snapshots, id = snapshots_of(stored), await a_lead(stored)
    await keep(snapshots, stored, id)
    [row] = await rows(stored)
    await put(stored, (id, 2**40, *row[2:]))
    await snapshots.load(id)
    await keep(snapshots, stored, id)
    assert await rows(stored) == [row]


async def test_a_snapshot_that_somebody_else_sealed_is_not_used(stored: PostgresLog) -> None:
    id = await a_lead(stored)
    forger = PostgresAggregateSnapshots(stored.pool, stored.mapper, DataKey("another", bytes(32)))
    await keep(forger, stored, id)
    assert seen(await forger.load(id)) == (5, [5])
    assert (await snapshots_of(stored).load(id)).snapshot is None


async def test_another_release_passes_a_snapshot_by_and_makes_its_own(stored: PostgresLog) -> None:
    snapshots, id = snapshots_of(stored), await a_lead(stored)
    await keep(snapshots, stored, id)
    [row] = await rows(stored)
    await put(stored, (id, 5, b"another release", *row[3:]))
    assert seen(await snapshots.load(id)) == (None, [1, 2, 3, 4, 5])
    await keep(snapshots, stored, id)
    assert await rows(stored) == [row]


async def test_snapshots_written_at_once_do_no_harm(stored: PostgresLog) -> None:
    id = await a_lead(stored)
    events = (await stored.store.load(id)).events
    states = [it.state for it in await stored.reader.events_of(id)]
    many = [snapshots_of(stored) for _ in range(8)]
    for number, it in enumerate(many):
        version = 2 + number % 4
        it.keep(aggregate_of(History(events[:version], 0)), states[version - 1])
    await asyncio.gather(*(it.close() for it in many))
    assert seen(await many[0].load(id)) == (5, [5])


async def test_a_database_that_takes_no_snapshot_fails_no_command(
    stored: PostgresLog, database_url: str
) -> None:
    snapshots, id = snapshots_of(stored), await a_lead(stored)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE log.snapshots ADD CHECK (version < 0)")
    await keep(snapshots, stored, id)
    assert await rows(stored) == []
    pool = await open_pool(database_url, size=1)
    gone = PostgresAggregateSnapshots(pool, stored.mapper, KEY)
    await pool.close()
    await keep(gone, stored, id)
    assert seen(await snapshots.load(id)) == (None, [1, 2, 3, 4, 5])


async def test_a_database_that_is_away_is_waited_for_once_not_for_each_snapshot(
    stored: PostgresLog, database_url: str
) -> None:
    histories = [await stored.store.load(await a_lead(stored)) for _ in range(3)]
    pool = await open_pool(database_url, size=1)
    gone = PostgresAggregateSnapshots(pool, stored.mapper, KEY)
    await pool.close()
    with capture_logs() as told:
        for it in histories:
            gone.keep(aggregate_of(it), it.last)
        await gone.close()
    assert [it["event"] for it in told] == ["snapshot_not_written"]


async def test_snapshots_are_in_no_write_ahead_log_and_in_no_backup(stored: PostgresLog) -> None:
    async with stored.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT relpersistence FROM pg_class WHERE oid = 'log.snapshots'::regclass"
        )
        assert await cursor.fetchone() == ("u",)
