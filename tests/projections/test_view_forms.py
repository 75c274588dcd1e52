"""The form of views: what is declared is what the migrations made, and what another form leads to."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import pytest
from psycopg import sql
from uuid_utils.compat import uuid7

from infra.postgres.database import Pool, open_pool
from infra.postgres.views.form import FORMS, VERSIONS, forms_of
from infra.postgres.views.standing import Standing, Standings, Superseded
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.tables import LEADS, TABLES, Table
from infra.projector import Projector, following_log
from infra.rebuild import Rebuilder
from infra.supervision import supervise
from infra.viewkeeping import ViewKeeper
from projections import pipeline
from projections.model import Recorded
from projections.pipeline import LeadFilter, LeadRow
from services.ports import EventSource
from tests.projections.test_rebuild import ask, some_business
from tests.projections.worlds import World, at, postgres_world

PINNED = {
    "directory": (1, "0371f9c8783e5963450f85395d815f20"),
    "pipeline": (1, "45673f1b0d8c3aa5389b2cba6df525a6"),
    "privacy": (1, "2c638e5c697bbf9bc8bb5dd419238f9a"),
    "rights": (1, "ec5e64bbd9b3d22763644f8f011d8a96"),
    "tickets": (1, "13d968b861c3224cd529db85cd0e777c"),
    "timeline": (1, "b3047bd99d8b7bac1ddd1d3761971c6f"),
}
"""The form of each version. Other columns, or another meaning: raise the VERSION beside `project`."""


def test_a_view_whose_columns_change_gets_a_new_version() -> None:
    assert {view: (it.version, it.fingerprint) for view, it in FORMS.items()} == PINNED


async def test_what_is_declared_is_what_the_migrations_made(database_url: str) -> None:
    async with opened(database_url) as pool, pool.connection() as connection:
        async with connection.transaction():
            assert set((await Standings().look(connection)).values()) == {Standing.LIVE}
        for view, form in FORMS.items():
            await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(f"{view}_declared")))
            for table in form.tables:
                for statement in table.creating(f"{view}_declared"):
                    await connection.execute(statement)
            declared = await made(connection, f"{view}_declared")
            assert declared == await made(connection, view)


async def made(connection: Any, schema: str) -> list[str]:
    """The schema's indexes and constraints, without names."""
    cursor = await connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = %(schema)s UNION ALL "
        "SELECT relname || ' ' || pg_get_constraintdef(it.oid) FROM pg_constraint AS it "
        "JOIN pg_class AS class ON class.oid = conrelid "
        "WHERE class.relnamespace = %(schema)s::regnamespace AND contype <> 'n'",
        {"schema": schema},
    )
    found = [record[0].replace(f" {schema}.", " ") for record in await cursor.fetchall()]
    return sorted(re.sub(r"INDEX \S+ ON", "INDEX ON", it) for it in found)


@dataclass(slots=True, kw_only=True)
class CountedLeadRow(LeadRow):
    """What a later release has: how many events there were."""

    events: int = 0


def counting(rows: Any, recorded: Recorded) -> None:
    """The projection of a later release."""
    pipeline.project(rows, recorded)
    id = recorded.event.originator_id
    row = rows.get(id)
    if row is not None and not isinstance(row, CountedLeadRow):
        rows[id] = row = CountedLeadRow(**{it.name: getattr(row, it.name) for it in fields(LeadRow)})
    if row is not None and row.version == recorded.event.originator_version:
        row.events = row.version


LATER: Sequence[Table[Any]] = [
    replace(it, kind=CountedLeadRow, project=counting) if it is LEADS else it for it in TABLES
]
LATER_FORMS = forms_of(LATER, {**VERSIONS, "pipeline": 2})


@dataclass
class Release:
    """The parts of one release's projector process."""

    store: PostgresViewStore
    keeper: ViewKeeper
    projector: Projector


def release_of(world: World, tables: Sequence[Table[Any]] = TABLES, forms: Any = FORMS) -> Release:
    pool, standings = world.pool, Standings(forms)
    assert pool is not None
    store = PostgresViewStore(pool, world.unsealer, world.blind, tables=tables, standings=standings)
    rebuilder = Rebuilder(
        pool, world.reader, world.mapper, world.unsealer, world.blind, tables=tables, standings=standings
    )
    keeper = ViewKeeper(pool, rebuilder, standings)

    @asynccontextmanager
    async def source() -> AsyncIterator[EventSource]:
        async with following_log(pool, world.reader, world.mapper, store) as it:
            yield it

    return Release(store, keeper, Projector(source, store, check=keeper.check))


@asynccontextmanager
async def running(*works: Any) -> AsyncIterator[asyncio.Event]:
    """The works, supervised as in production, until the block ends."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(supervise("work", partial(it, stop), stop)) for it in works]
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def test_a_changed_view_is_built_beside_the_old_releases_and_switched_while_all_goes_on(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        earlier, later = release_of(world), release_of(world, LATER, LATER_FORMS)
        await some_business(world, 6)
        counts: list[int] = []

        async def read(stop: asyncio.Event) -> None:
            while not stop.is_set():
                counts.append(sum(it.count for it in await world.views.pipeline.totals(LeadFilter())))
                await asyncio.sleep(0)

        async def write(stop: asyncio.Event) -> None:
            while not stop.is_set():
                await some_business(world, 2)

        async with running(earlier.projector.run, earlier.keeper.run):
            await world.settle()
            async with running(read, write):
                assert await later.keeper.settle() == ["pipeline"]
                async with running(later.projector.run):
                    # The earlier release's projector notices, gives up, and makes way.
                    await some_business(world, 1)
                    await world.settle()
        assert counts == sorted(counts)
        assert counts[0] == 6
        with pytest.raises(Superseded):
            await earlier.keeper.check()
        with pytest.raises(Superseded):
            await earlier.store.apply([], "log")
        async with running(later.projector.run):
            await world.settle()
        assert await ask(world, "SELECT DISTINCT version - events FROM pipeline.leads") == [(0,)]
        assert (await later.keeper.rebuilder.rebuild("pipeline")).equal
        assert await later.keeper.settle() == []
        print(
            f"{len(counts)} reads by the earlier release saw {counts[0]} to {counts[-1]} leads, never fewer"
        )


async def test_an_earlier_release_never_builds_its_form_back_by_itself(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        assert await release_of(world, LATER, LATER_FORMS).keeper.settle() == ["pipeline"]
        earlier = release_of(world)
        assert (await earlier.keeper.look())["pipeline"] is Standing.BEHIND
        assert await earlier.keeper.settle() == []
        report = await earlier.keeper.rebuilder.rebuild("pipeline")  # by somebody's order
        assert (report.rows, report.live_hash) == (1, "")
        assert (await earlier.keeper.look())["pipeline"] is Standing.LIVE


async def test_a_build_that_another_release_began_is_begun_anew(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.rebuild.BATCH_EVENTS_MAX", 5)
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 3)

        def cut(done: int, total: int) -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            await release_of(world).keeper.rebuilder.rebuild("pipeline", cut)
        assert await release_of(world, LATER, LATER_FORMS).keeper.settle() == ["pipeline"]
        assert await ask(world, "SELECT DISTINCT version - events FROM pipeline.leads") == [(0,)]


async def test_a_view_that_stood_still_until_it_was_built_goes_on_with_the_others(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        leads = await some_business(world, 2)
        later = release_of(world, LATER, LATER_FORMS)
        await later.keeper.look()
        async with running(later.projector.run):
            async with asyncio.timeout(30):
                while len(await ask(world, "SELECT id FROM tickets.tickets")) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert await ask(world, "SELECT id FROM pipeline.leads") == [], "another release's: left alone"
            await later.keeper.settle()
            await world.leads.assign(id=leads[0], owner_id=uuid7(), context=at(9))
            await world.settle()
        assert await ask(world, "SELECT DISTINCT version - events FROM pipeline.leads") == [(0,)]


async def test_who_is_fed_from_kafka_joins_once_its_views_are_built(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        joining, building = (release_of(world, LATER, LATER_FORMS) for _ in range(2))
        ready = asyncio.create_task(joining.keeper.ready())
        await asyncio.wait([ready], timeout=0.2)
        assert not ready.done()
        await building.keeper.settle()
        await asyncio.wait_for(ready, 30)
        with pytest.raises(Superseded):
            await release_of(world).keeper.ready()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Pool]:
    pool = await open_pool(url, size=2)
    try:
        yield pool
    finally:
        await pool.close()
