"""Row 14: events that a projection cannot digest, and one that cannot be read, among many others."""

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from domain.ticket.events import TicketPaused
from infra.deadletters import Retried
from infra.postgres.views.tables import TABLES, TICKETS
from infra.projector import LogSource, Projector
from projections.model import Recorded
from services.ports import EventSource
from tests.projections.test_dead_letters import Stumbles
from tests.projections.test_rebuild import ask, rebuild_all, some_business
from tests.projections.test_view_forms import release_of, running
from tests.projections.worlds import World, dead_letters, postgres_world

RECORDS = 400 if os.environ.get("LETHE_TORTURE") == "1" else 20


class CannotRead:
    """The mapper of a release that cannot read one kind of event of a record."""

    def __init__(self, world: World, lead: UUID) -> None:
        self.world = world
        self.lead = lead

    def to_domain_event(self, stored_event: StoredEvent) -> Recorded:
        if stored_event.originator_id == self.lead and stored_event.topic == "lead.won":
            raise ValueError("a text that may quote data")
        return self.world.mapper.to_domain_event(stored_event)


@pytest.mark.timeout(600)
async def test_a_poison_event_parks_its_record_the_others_go_on_and_it_drains_after_the_fix(
    database_url: str,
) -> None:
    async with postgres_world(database_url, projecting=False) as world:
        leads = await some_business(world, RECORDS)
        opened = await ask(world, "SELECT originator_id FROM log.events WHERE topic = 'ticket.opened'")
        poisoned = {id for (id,) in opened[::5]}
        faulty = replace(TICKETS, project=Stumbles(TICKETS, TicketPaused, poisoned))
        first = release_of(world, [faulty if it is TICKETS else it for it in TABLES])
        first.projector = projector_with(first, world, CannotRead(world, leads[0]))
        async with running(first.projector.run):
            await some_business(world, 2)
            await world.settle()  # every position counts as reached: nobody waits for what is parked

        letters = await dead_letters(world).letters()
        assert {it.record_id for it in letters} == {*poisoned, leads[0]}
        assert {(it.view, it.error) for it in letters} == {
            ("tickets", "ZeroDivisionError"),
            ("pipeline", "ValueError"),
            ("timeline", "ValueError"),
        }
        shown = await ask(world, "SELECT version, count(*) FROM tickets.tickets GROUP BY 1 ORDER BY 1")
        assert shown == [(1, len(poisoned)), (3, RECORDS + 2 - len(poisoned))]
        assert await ask(world, "SELECT count(*) FROM pipeline.leads WHERE stage = 'won'") == [(RECORDS + 1,)]

        second = release_of(world)
        retried: list[Retried] = []

        async def retry() -> None:
            retried.append(await dead_letters(world).retry_views())

        second.projector.retry = retry
        async with running(second.projector.run):
            await some_business(world, 1)
            await world.settle()
        assert retried == [Retried(len(letters), len(letters))]
        assert await dead_letters(world).letters() == []
        assert all(it.equal for it in await rebuild_all(world))
        print(
            f"\nrow 14: {len(letters)} dead letters among {4 * RECORDS} records, all others shown meanwhile; "
            "after the fix all drained in order: equal to a rebuild"
        )


def projector_with(release: Any, world: World, mapper: Any) -> Projector:
    """The release's projector, with a mapper of its own."""

    @asynccontextmanager
    async def source() -> Any:
        log: EventSource = LogSource(world.reader, mapper, await release.store.tracked("log"))
        yield log

    return Projector(source, release.store)
