"""Rebuilding a view: equal to the live one, switched at once, and safe to interrupt."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from domain.privacyrequest.aggregate import PrivacyRequest
from domain.privacyrequest.terms import RequestKind
from domain.values import Channel, CurrencyCode, CustomerKind, EmailAddress, LawfulBasis, Level, Money
from infra.kafka.broker import LocalBroker
from infra.postgres.views.store import PostgresViewStore
from infra.postgres.views.tables import VIEWS
from infra.rebuild import Rebuilder, RebuildReport, RebuildRunning, UnknownView
from projections.directory import ContactDetail
from projections.pipeline import LeadFilter
from tests.projections.worlds import World, at, kafka_world, postgres_world


async def some_business(world: World, count: int = 5) -> list[UUID]:
    """Customers, leads and tickets; one of the customers erased. The leads' ids."""
    leads = [uuid7() for _ in range(count)]
    subjects = [uuid7() for _ in range(count)]
    for number, (lead, subject_id) in enumerate(zip(leads, subjects, strict=True)):
        await world.customers.register(
            id=uuid7(),
            subject_id=subject_id,
            context=at(),
            kind=CustomerKind.PERSON,
            source="web",
            lawful_basis=LawfulBasis.CONTRACT,
            purpose="sales",
            name=f"Person {number}",
            email=EmailAddress.parse(f"p{number}@example.com"),
        )
        await world.leads.capture(id=lead, subject_id=subject_id, source="web", name="Ann", context=at())
        value = Money(amount=Decimal(number), currency=CurrencyCode("EUR"))
        await world.leads.win(id=lead, value=value, context=at(1))
        ticket = uuid7()
        await world.tickets.open(
            id=ticket,
            subject_id=subject_id,
            channel=Channel.EMAIL,
            impact=Level.LOW,
            urgency=Level.HIGH,
            subject="Help",
            context=at(),
        )
        await world.tickets.pause(id=ticket, waiting_for="customer", context=at(1))
        await world.tickets.resume(id=ticket, context=at(2))
    await world.application.create(
        lambda: PrivacyRequest.receive(
            id=uuid7(),
            subject_id=subjects[0],
            kind=RequestKind.ERASURE,
            channel=Channel.EMAIL,
            received_on=date(2026, 3, 2),
            text="Forget me.",
        ),
        context=at(),
    )
    await world.erase(subjects[0])
    return leads


def rebuilder(world: World) -> Rebuilder:
    assert world.pool is not None
    return Rebuilder(world.pool, world.reader, world.mapper, world.unsealer, world.blind)


async def rebuild_all(world: World) -> list[RebuildReport]:
    return [await rebuilder(world).rebuild(view) for view in VIEWS]


async def ask(world: World, query: str) -> list[Any]:
    assert world.pool is not None
    async with world.pool.connection() as connection:
        return await (await connection.execute(query.encode())).fetchall()


async def test_every_view_rebuilt_from_the_first_event_equals_the_live_one(database_url: str) -> None:
    async with postgres_world(database_url) as world:
        leads = await some_business(world)
        await world.settle()
        told: list[tuple[int, int]] = []
        reports = [await rebuilder(world).rebuild(view, lambda *it: told.append(it)) for view in VIEWS]

        assert [(it.view, it.equal) for it in reports] == [(view, True) for view in VIEWS]
        rows = {it.view: it.rows for it in reports if it.rows}
        assert rows == {"directory": 5 + 1 + 4, "pipeline": 5, "privacy": 1, "tickets": 5, "timeline": 33}
        assert len({it.rebuilt_hash for it in reports if it.rows}) == len(rows)
        assert all(done <= total for done, total in told)
        schemas = await ask(world, "SELECT nspname FROM pg_namespace WHERE nspname ~ '_(next|old)$'")
        assert schemas == []
        assert await ask(world, "SELECT DISTINCT source FROM views.tracking") == [("log",)]

        await world.leads.assign(id=leads[0], owner_id=uuid7(), context=at(9))
        await world.settle()
        row = await world.views.pipeline.lead(leads[0])
        assert row is not None
        assert row.version == 3
        assert all(it.equal for it in await rebuild_all(world))


@pytest.mark.broker
async def test_views_fed_from_kafka_equal_views_rebuilt_from_the_log(
    database_url: str, broker: LocalBroker
) -> None:
    async with kafka_world(database_url, broker) as world:
        await some_business(world)
        # Nothing is waited for: what has not come through yet is brought in by the rebuild.
        assert all(it.equal for it in await rebuild_all(world))
        await world.settle()
        assert all(it.equal for it in await rebuild_all(world))


async def test_a_view_altered_by_hand_is_found_and_put_right(database_url: str) -> None:
    async with postgres_world(database_url) as world:
        leads = await some_business(world)
        await world.settle()
        await ask(world, "UPDATE pipeline.leads SET value = 7 WHERE value = 3 RETURNING id")
        assert not (await rebuilder(world).rebuild("pipeline")).equal
        row = await world.views.pipeline.lead(leads[3])
        assert row is not None
        assert row.value == 3
        assert (await rebuilder(world).rebuild("pipeline")).equal

        await ask(world, "UPDATE pipeline.leads SET version = 1 WHERE value = 3 RETURNING id")
        await ask(world, "UPDATE views.tracking SET position = 0 WHERE view = 'pipeline' RETURNING view")
        assert (await rebuilder(world).rebuild("pipeline")).equal


async def test_a_rebuild_under_writes_never_shows_an_empty_view_and_loses_nothing(database_url: str) -> None:
    async with postgres_world(database_url) as world:
        await some_business(world)
        await world.settle()
        counts: list[int] = []
        stop = asyncio.Event()

        async def read() -> None:
            while not stop.is_set():
                totals = await world.views.pipeline.totals(LeadFilter())
                counts.append(sum(it.count for it in totals))
                await asyncio.sleep(0)

        async def write() -> None:
            while not stop.is_set():
                await some_business(world, 2)

        beside = [asyncio.create_task(read()), asyncio.create_task(write())]
        reports = [*await rebuild_all(world), *await rebuild_all(world)]
        stop.set()
        await asyncio.gather(*beside)
        await world.settle()

        assert all(it.equal for it in reports)
        assert counts == sorted(counts)
        assert counts[0] == 5
        print(f"{len(counts)} reads during 8 rebuilds saw {counts[0]} to {counts[-1]} leads, never fewer")
        assert all(it.equal for it in await rebuild_all(world))


async def test_a_batch_that_comes_during_the_switch_waits_and_shows_in_the_new_view(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        (lead,) = await some_business(world, 1)
        await rebuild_all(world)
        assert isinstance(world.store, PostgresViewStore)
        batches: list[asyncio.Task[None]] = []

        class Unhurried(Rebuilder):
            """Takes its time in the middle of the switch."""

            async def _bring_live(self, *given: Any) -> None:
                await super()._bring_live(*given)
                await world.leads.assign(id=lead, owner_id=uuid7(), context=at(9))
                batch = [world.mapper.to_domain_event(it) for it in await world.reader.events_of(lead)]
                batches.append(asyncio.create_task(world.store.apply(batch, "log")))
                await asyncio.sleep(0.5)

        assert world.pool is not None
        await Unhurried(world.pool, world.reader, world.mapper, world.unsealer, world.blind).rebuild(
            "pipeline"
        )
        await batches[0]
        row = await world.views.pipeline.lead(lead)
        assert row is not None
        assert row.version == 3


async def test_an_interrupted_rebuild_goes_on_where_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.rebuild.BATCH_EVENTS_MAX", 10)
    async with postgres_world(database_url) as world:
        leads = await some_business(world)
        await world.settle()

        class PoweredOff(Exception):
            """What a test calls a power cut."""

        def cut(done: int, total: int) -> None:
            raise PoweredOff

        with pytest.raises(PoweredOff):
            await rebuilder(world).rebuild("pipeline", cut)
        assert await world.views.pipeline.lead(leads[0]) is not None
        assert await ask(world, "SELECT position FROM views.tracking WHERE source = 'next'") == [(10,)]

        told: list[int] = []
        report = await rebuilder(world).rebuild("pipeline", lambda done, total: told.append(done))
        assert report.equal
        assert told[0] == 20


async def test_two_rebuilds_at_once_and_unknown_views_are_refused(database_url: str) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        await some_business(world, 1)
        with pytest.raises(UnknownView):
            await rebuilder(world).rebuild("analytics")
        results = await asyncio.gather(
            rebuilder(world).rebuild("tickets"), rebuilder(world).rebuild("tickets"), return_exceptions=True
        )
        assert sorted(type(it).__name__ for it in results) == ["RebuildReport", "RebuildRunning"]
        assert any(isinstance(it, RebuildRunning) for it in results)


async def test_an_erasure_during_a_rebuild_leaves_nobody_in_the_rebuilt_blind_index(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.rebuild.BATCH_EVENTS_MAX", 2)
    async with postgres_world(database_url) as world:
        await some_business(world)
        await world.settle()
        ((subject_id,),) = await ask(world, "SELECT subject_id FROM directory.blind_index LIMIT 1")
        erased: list[asyncio.Task[Any]] = []

        def erase_meanwhile(done: int, total: int) -> None:
            if done > 20 and not erased:
                erased.append(asyncio.create_task(world.ring.shred(subject_id)))

        await rebuilder(world).rebuild("directory", erase_meanwhile)
        await erased[0]
        left = await ask(world, "SELECT subject_id FROM directory.blind_index")
        assert (subject_id,) not in left
        assert len(left) == 3
        assert await world.views.directory.lookup(ContactDetail.EMAIL, "p0@example.com") == []
