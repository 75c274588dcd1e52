"""The projector: repeats, interleavings, strangers and failures change nothing of what the views show."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from infra import json
from infra.deadletters import Retried
from infra.eventstore.mapper import UnknownEvent
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.tables import VIEWS
from infra.projector import LOG, LogSource, Projector, following_log
from infra.rebuild import Rebuilder
from services.ports import EventSource, Recorded, Unavailable
from tests.projections.test_rebuild import ask, rebuild_all, some_business
from tests.projections.worlds import World, at, dead_letters, postgres_world


async def log_of(world: World) -> list[Recorded]:
    await world.reader.horizon()
    return [world.mapper.to_domain_event(it) for it in await world.reader.read(0, 10_000)]


def interleaved(log: Sequence[Recorded], chance: random.Random) -> list[Recorded]:
    """The events twice, the records shuffled into each other, each record's events in order."""
    records: dict[UUID, list[Recorded]] = defaultdict(list)
    for it in [*log, *log]:
        records[it.originator_id].append(it)
    turns = [id for id, events in records.items() for _ in events]
    chance.shuffle(turns)
    return [records[id].pop(0) for id in turns]


async def test_every_event_twice_and_records_interleaved_give_the_same_views(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 4)
        log = await log_of(world)
        chance = random.Random(16)
        delivered = interleaved(log, chance)
        while delivered:
            size = chance.choice((1, 7, 40))
            batch, delivered = delivered[:size], delivered[size:]
            await world.store.apply(batch, "kafka")
            if chance.random() < 0.3:
                await world.store.apply(batch, "kafka")
        reports = await rebuild_all(world)
        assert [it.equal for it in reports] == [True] * len(VIEWS)
        print(f"{len(log)} events, each twice, records shuffled into each other: equal to a rebuild")


async def test_an_event_after_a_gap_parks_its_record_until_the_log_fills_the_gap(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        log = await log_of(world)
        ticket = [it for it in log if it.event.TOPIC.startswith("ticket.")]
        await world.store.apply(ticket[:1], LOG)
        other = [it for it in log if it.event.TOPIC == "lead.captured"]
        await world.store.apply([*other, ticket[2]], LOG)
        assert await world.views.pipeline.lead(other[0].originator_id) is not None
        row = await world.views.tickets.ticket(ticket[0].originator_id)
        assert row is not None
        assert row.version == 1
        (letter,) = await dead_letters(world).letters()
        assert (letter.view, letter.version, letter.error) == ("tickets", 3, "VersionGap")

        assert await dead_letters(world).retry() == Retried(1, 1)
        row = await world.views.tickets.ticket(ticket[0].originator_id)
        assert row is not None
        assert row.version == 3


async def test_an_event_of_a_later_release_passes_and_the_record_moves_on(database_url: str) -> None:
    async with postgres_world(database_url) as world:
        leads = await some_business(world, 1)
        await world.settle()
        state = json.decode(
            (await ask(world, "SELECT state FROM log.events ORDER BY position LIMIT 1"))[0][0]
        )
        strange = state | {"id": str(uuid7()), "sealed": []}
        assert world.pool is not None
        async with world.pool.connection() as connection:
            for id, version in ((leads[0], 3), (uuid7(), 1)):
                await connection.execute(
                    "INSERT INTO log.events (originator_id, originator_version, topic, state) "
                    "VALUES (%s, %s, 'lead.daydreamt', %s)",
                    [id, version, json.encode(strange)],
                )
        await world.settle()

        row = await world.views.pipeline.lead(leads[0])
        assert row is not None
        assert row.version == 3
        assert isinstance((await log_of(world))[-1].event, UnknownEvent)
        assert all(it.equal for it in await rebuild_all(world))


class Stumbling:
    """A store that fails once, after it has taken so many batches."""

    def __init__(self, store: PostgresViewStore, after: int) -> None:
        self.store = store
        self.left = after

    async def tracked(self, source: str) -> int:
        return await self.store.tracked(source)

    async def apply(self, batch: Sequence[Recorded], source: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Unavailable("the database went away")
        await self.store.apply(batch, source)


async def test_a_projector_that_fails_and_starts_again_loses_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.projector.BATCH_EVENTS_MAX", 5)
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world)
        assert isinstance(world.store, PostgresViewStore)
        projector = Projector(lambda: source(world), Stumbling(world.store, 3))
        with pytest.raises(Unavailable):
            await projector.run(asyncio.Event())
        assert await world.store.tracked(LOG) == 10

        stop = asyncio.Event()
        running = asyncio.create_task(projector.run(stop))
        await world.settle()
        stop.set()
        await running
        assert all(it.equal for it in await rebuild_all(world))


@asynccontextmanager
async def source(world: World) -> AsyncIterator[EventSource]:
    assert world.pool is not None
    async with following_log(world.pool, world.reader, world.mapper, world.store) as it:
        yield it


async def test_one_follows_the_log_at_a_time_and_the_next_takes_over(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        first, second = source(world), source(world)
        await first.__aenter__()
        entering = asyncio.create_task(second.__aenter__())
        done, _ = await asyncio.wait([entering], timeout=1)
        assert not done
        await first.__aexit__(None, None, None)
        taken_over = await asyncio.wait_for(entering, 5)
        assert isinstance(taken_over, LogSource)
        await second.__aexit__(None, None, None)


async def test_who_stands_by_stops_when_told_to(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        async with source(world):
            stop = asyncio.Event()
            standing_by = asyncio.create_task(Projector(lambda: source(world), world.store).run(stop))
            await asyncio.sleep(0.3)
            stop.set()
            await asyncio.wait_for(standing_by, 5)
        async with asyncio.timeout(5), source(world):
            pass  # what it was waiting for is free


async def test_two_projectors_side_by_side_do_no_harm(database_url: str) -> None:
    async with postgres_world(database_url) as world:
        stop = asyncio.Event()

        @asynccontextmanager
        async def without_lock() -> AsyncIterator[EventSource]:
            yield LogSource(world.reader, world.mapper, 0)

        beside = asyncio.create_task(Projector(without_lock, world.store).run(stop))
        await asyncio.gather(*(some_business(world, 3) for _ in range(4)))
        await world.settle()
        stop.set()
        await beside
        assert all(it.equal for it in await rebuild_all(world))


async def test_waiting_for_a_position_ends_when_it_shows_or_when_the_time_is_up(log_world: World) -> None:
    assert await log_world.views.wait_for(0, 0)
    assert not await log_world.views.wait_for(1, 0.05)
    waiting = asyncio.create_task(log_world.views.wait_for(1, 10))
    outcome = await log_world.leads.capture(id=uuid7(), subject_id=uuid7(), source="web", context=at())
    assert outcome.position == 1
    assert await waiting
    assert await log_world.views.pipeline.lead(outcome.id) is not None


async def test_no_clear_personal_value_is_ever_written(database_url: str) -> None:
    async with postgres_world(database_url) as world:
        await some_business(world, 2)
        await world.settle()
        log = await log_of(world)
        captured = next(it for it in log if it.event.TOPIC == "lead.captured")
        clear: Any = replace(
            captured, event=captured.event.model_copy(update={"name": "Ann", "originator_id": uuid7()})
        )
        await world.store.apply([clear], LOG)
        (letter,) = await dead_letters(world).letters()
        assert (letter.view, letter.topic, letter.error) == ("pipeline", "lead.captured", "NotSealed")
        for view, table in (("directory", "customers"), ("pipeline", "leads"), ("tickets", "tickets")):
            for (text,) in await ask(world, f"SELECT it::text FROM {view}.{table} AS it"):  # noqa: S608
                assert "Ann" not in text
                assert "Person" not in text
                assert "example.com" not in text


async def test_once_the_fence_is_up_no_blind_index_row_is_written(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 2)
        store = world.store
        assert isinstance(store, PostgresViewStore)
        assert world.pool is not None
        log = await log_of(world)
        registered = [it for it in log if it.event.TOPIC == "customer.registered"]
        digests = await store.digests(registered)
        assert len(digests) == 1, "one of the two is erased already"
        subject_id = registered[1].event.record_subject
        # As if the erasure came between the reading of the batch and its transaction.
        await world.ring.shred(subject_id)
        async with world.pool.connection() as connection, connection.transaction():
            await store.apply_within(connection, registered, LOG, digests)
        assert await ask(world, "SELECT * FROM directory.blind_index") == []
        assert len(await ask(world, "SELECT id FROM directory.customers")) == 2


async def test_a_rebuild_of_nothing_is_equal_and_empty(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        assert world.pool is not None
        report = await Rebuilder(world.pool, world.reader, world.mapper, world.unsealer, world.blind).rebuild(
            "pipeline"
        )
        assert (report.equal, report.rows, report.position) == (True, 0, 0)
