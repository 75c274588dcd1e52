"""An event that a view cannot digest parks its record; all others go on, and it drains after the fix."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace as rewritten
from psycopg.errors import UndefinedTable

from domain.lead.events import LeadWon
from domain.model import Sealed
from domain.ticket.events import TicketPaused
from infra.deadletters import BadReason, NoSuchLetter, Retried
from infra.history.segments import EVERYTHING, Snapshots
from infra.postgres.segments import PostgresSegments
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.tables import TICKETS, VIEWS
from infra.projector import LOG
from infra.undecoded import TolerantDecoder
from services.ports import KeyLost, Tampered, Unavailable
from tests.projections.test_projector import log_of
from tests.projections.test_rebuild import ask, rebuild_all, some_business
from tests.projections.worlds import World, dead_letters, postgres_world


class Stumbles:
    """A projection with a fault: it cannot digest one kind of event of some records."""

    def __init__(self, table: Any, kind: type, records: set[UUID] | None = None) -> None:
        self.well = table.project
        self.kind = kind
        self.records = records

    def __call__(self, rows: Any, recorded: Any) -> None:
        if isinstance(recorded.event, self.kind) and (
            self.records is None or recorded.originator_id in self.records
        ):
            rows[recorded.originator_id].version = 99  # as far as it came
            raise ZeroDivisionError("a text that may quote data")
        self.well(rows, recorded)


def stumbling(
    world: World, monkeypatch: pytest.MonkeyPatch, table: Any, kind: type, records: set[UUID] | None = None
) -> None:
    """Let the world's store project with a fault, until the monkeypatch is undone."""
    assert isinstance(world.store, PostgresViewStore)
    showing = world.store.showing
    tables = dict(showing.tables)
    faulty = replace(table, project=Stumbles(table, kind, records))
    tables[table.aggregate] = tuple(faulty if it is table else it for it in tables[table.aggregate])
    monkeypatch.setattr(showing, "tables", tables)


async def ticket_versions(world: World) -> list[int]:
    return [it[0] for it in await ask(world, "SELECT version FROM tickets.tickets ORDER BY version")]


async def test_an_event_that_cannot_be_digested_parks_its_record_and_drains_in_order_after_the_fix(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 4)
        log = await log_of(world)
        ids = sorted({it.originator_id for it in log if it.event.TOPIC == "ticket.opened"})
        stumbling(world, monkeypatch, TICKETS, TicketPaused, set(ids[:2]))
        await world.store.apply(log, LOG)

        assert await ticket_versions(world) == [1, 1, 3, 3]
        assert await world.store.tracked(LOG) == log[-1].position
        assert len(await ask(world, "SELECT id FROM pipeline.leads")) == 4
        letters = await dead_letters(world).letters()
        assert [(it.view, it.record_id, it.version, it.held_back) for it in letters] == [
            ("tickets", ids[0], 2, 1),
            ("tickets", ids[1], 2, 1),
        ]
        assert {(it.topic, it.error) for it in letters} == {("ticket.paused", "ZeroDivisionError")}
        assert await dead_letters(world).counts() == {"tickets": 2}
        assert await dead_letters(world).retry() == Retried(2, 0)

        monkeypatch.undo()
        assert await dead_letters(world).retry_views() == Retried(2, 2)
        assert await dead_letters(world).letters() == []
        assert await ticket_versions(world) == [3, 3, 3, 3]
        assert all(it.equal for it in await rebuild_all(world))


async def test_later_events_of_a_parked_record_are_held_back_batch_after_batch(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 2)
        log = await log_of(world)
        stumbling(world, monkeypatch, TICKETS, TicketPaused)
        for it in [*log, *log]:
            await world.store.apply([it], LOG)
        assert await ticket_versions(world) == [1, 1]
        assert len(await dead_letters(world).letters()) == 2
        assert len(await ask(world, "SELECT id FROM pipeline.leads")) == 2
        monkeypatch.undo()
        await dead_letters(world).retry()
        assert all(it.equal for it in await rebuild_all(world))


async def test_who_skips_an_event_says_why_and_the_rest_of_the_record_shows(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 2)
        log = await log_of(world)
        stumbling(world, monkeypatch, TICKETS, TicketPaused)
        await world.store.apply(log, LOG)
        letters = dead_letters(world)
        first, second = [it.record_id for it in await letters.letters()]

        async def skip(version: int, reason: str) -> Retried:
            return await letters.skip(
                view="tickets", record_id=first, version=version, actor="somebody", reason=reason
            )

        with pytest.raises(NoSuchLetter):
            await skip(1, "CHG-1")
        with pytest.raises(BadReason):
            await skip(2, "Ann Lee, born 1980 <ann@example.com>")
        assert await skip(2, "CHG-1") == Retried(1, 1)
        row = await world.views.tickets.ticket(first)
        assert row is not None
        assert (row.version, row.pauses) == (3, [])
        (skipped,) = await letters.skipped(first)
        assert (skipped.version, skipped.actor, skipped.reason) == (2, "somebody", "CHG-1")
        assert [it.record_id for it in await letters.letters()] == [second]
        with pytest.raises(NoSuchLetter):
            await skip(2, "CHG-1")


async def test_a_rebuild_tries_again_what_is_parked_and_what_was_skipped(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 2)
        log = await log_of(world)
        stumbling(world, monkeypatch, TICKETS, TicketPaused)
        faulty = world.store.showing.tables  # type: ignore[attr-defined]
        monkeypatch.setattr("infra.postgres.views.showing.by_aggregate", lambda _: faulty)
        await world.store.apply(log, LOG)
        letters = dead_letters(world)
        first, second = [it.record_id for it in await letters.letters()]
        await letters.skip(view="tickets", record_id=first, version=2, actor="somebody", reason="CHG-1")
        reports = {it.view: it.equal for it in await rebuild_all(world)}
        assert reports["tickets"], "with the same fault it comes to the same"
        assert [it.record_id for it in await letters.letters()] == [second]

        monkeypatch.undo()
        reports = {it.view: it.equal for it in await rebuild_all(world)}
        assert reports == dict.fromkeys(VIEWS, True) | {"tickets": False}
        assert await letters.letters() == []
        assert all(it.equal for it in await rebuild_all(world))


async def test_a_stored_event_that_cannot_be_read_parks_its_record_in_every_view_that_shows_it(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 2)
        good = await world.reader.read(0, 1_000)
        broken = next(it for it in good if it.topic == "ticket.paused")
        decoder = TolerantDecoder(world.mapper)
        log = [decoder.to_domain_event(replace(it, state=b"{}") if it is broken else it) for it in good]
        await world.store.apply(log, LOG)
        letters = await dead_letters(world).letters()
        assert [(it.view, it.record_id, it.version) for it in letters] == [
            ("tickets", broken.originator_id, 2),
            ("timeline", broken.originator_id, 2),
        ]
        assert await dead_letters(world).retry(record_id=letters[0].record_id) == Retried(2, 2)
        assert all(it.equal for it in await rebuild_all(world))


@pytest.mark.parametrize("fault", [KeyLost("a key"), Tampered("a box")])
async def test_a_box_that_does_not_open_parks_its_record_in_the_directory_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 4)
        log = await log_of(world)
        registered = [it for it in log if it.event.TOPIC == "customer.registered"]
        lost = registered[2].event.record_subject
        well = world.unsealer.open

        async def opening(handles: list[Sealed]) -> Any:
            if any(it.subject_id == lost for it in handles):
                raise fault
            return await well(handles)

        monkeypatch.setattr(world.unsealer, "open", opening)
        await world.store.apply(log, LOG)
        (letter,) = await dead_letters(world).letters()
        assert (letter.view, letter.record_id) == ("directory", registered[2].originator_id)
        assert letter.error == type(fault).__name__
        assert len(await ask(world, "SELECT id FROM directory.customers")) == 3
        assert len(await ask(world, "SELECT * FROM directory.blind_index")) == 2, "one of the three is erased"
        monkeypatch.undo()
        assert await dead_letters(world).retry() == Retried(1, 1)
        assert all(it.equal for it in await rebuild_all(world))


async def test_a_value_that_its_column_does_not_take_parks_its_record(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 3)
        log = await log_of(world)
        won: Any = next(it for it in log if isinstance(it.event, LeadWon))
        money = won.event.value.model_copy(update={"currency": "E\0R"})
        bad = rewritten(won, event=won.event.model_copy(update={"value": money}))
        await world.store.apply([bad if it is won else it for it in log], LOG)
        (letter,) = await dead_letters(world).letters()
        assert (letter.view, letter.version, letter.error) == ("pipeline", 2, "DataError")
        assert await dead_letters(world).retry() == Retried(1, 1)
        assert all(it.equal for it in await rebuild_all(world))


async def test_an_outage_parks_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        log = await log_of(world)

        async def away(handles: list[Sealed]) -> Any:
            raise Unavailable("the key service is away")

        monkeypatch.setattr(world.unsealer, "open", away)
        with pytest.raises(Unavailable):
            await world.store.apply(log, LOG)
        monkeypatch.undo()
        assert await dead_letters(world).letters() == []
        assert await world.store.tracked(LOG) == 0


async def test_the_record_as_of_a_time_is_what_the_view_shows_of_it_while_it_is_parked_and_when_skipped(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        stumbling(world, monkeypatch, TICKETS, TicketPaused)
        assert isinstance(world.store, PostgresViewStore)
        assert world.pool is not None
        (faulty,) = world.store.showing.tables["ticket"]
        reader: Any = world.reader
        snapshots = Snapshots(PostgresSegments(world.pool), reader, world.mapper, [faulty])
        await world.store.apply(await log_of(world), LOG)
        (letter,) = await dead_letters(world).letters()
        id = letter.record_id

        async def agree(version: int) -> None:
            shown = await world.views.tickets.ticket(id)
            assert shown is not None
            assert shown.version == version
            assert await snapshots.as_of(faulty.project, id, EVERYTHING) == shown
            rows = await snapshots.rows_at("ticket", {id: [1, 2, 3]})
            assert rows[id, 3] == shown

        await agree(1)
        await dead_letters(world).skip(
            view="tickets", record_id=id, version=2, actor="somebody", reason="CHG-1"
        )
        await agree(3)


async def test_a_row_that_the_database_refuses_parks_its_record(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 3)
        log = await log_of(world)
        assert world.pool is not None
        async with world.pool.connection() as connection:
            await connection.execute("ALTER TABLE pipeline.leads ADD CONSTRAINT no_one CHECK (value <> 1)")
        await world.store.apply(log, LOG)
        (letter,) = await dead_letters(world).letters()
        assert (letter.view, letter.version, letter.error) == ("pipeline", 2, "CheckViolation")
        assert await world.store.tracked(LOG) == log[-1].position
        async with world.pool.connection() as connection:
            await connection.execute("ALTER TABLE pipeline.leads DROP CONSTRAINT no_one")
        assert await dead_letters(world).retry() == Retried(1, 1)
        assert all(it.equal for it in await rebuild_all(world))


async def test_a_table_that_is_gone_parks_nothing(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        log = await log_of(world)
        assert world.pool is not None
        async with world.pool.connection() as connection:
            await connection.execute("DROP TABLE pipeline.leads")
        with pytest.raises(UndefinedTable):
            await world.store.apply(log, LOG)
        assert await dead_letters(world).letters() == []
