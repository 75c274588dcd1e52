"""Row 13: projectors join the consumer group and leave it, in good order or killed, under load."""

import asyncio
import os
import random
import subprocess
import sys
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from domain.customer.aggregate import Customer
from domain.lead.aggregate import Lead
from domain.values import CustomerKind, EmailAddress, LawfulBasis
from infra.blindindex import HmacBlindIndex
from infra.kafka.broker import LocalBroker
from infra.kafka.relay import Relay
from infra.kek import FileKek
from infra.memory.kek import MemoryKekPlace
from infra.postgres.keystore import key_ring_at
from infra.postgres.relay_lease import PostgresRelayLease
from infra.postgres.views.tables import VIEWS
from infra.rebuild import Rebuilder
from tests.projections.worlds import NAMESPACE, World, at, postgres_world

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 40 if TORTURE else 1
"""In each, one more joins, and one of them leaves: in the long form every other time it is killed."""
MEMBERS = 3 if TORTURE else 1

Process = asyncio.subprocess.Process


@pytest.mark.broker
@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_every_view_equals_a_rebuild_whoever_came_and_went(
    database_url: str, broker: LocalBroker
) -> None:
    namespace = f"row13-{uuid4().hex}"
    stop, written = asyncio.Event(), asyncio.Event()
    members: list[Process] = []
    chance = random.Random(13)
    async with postgres_world(database_url, projecting=False) as world:
        relay = Relay(world.reader, broker.address, namespace, PostgresRelayLease(database_url))
        tasks = [asyncio.create_task(relay.run(stop)), asyncio.create_task(write(world, written))]
        try:
            members += [await joined(database_url, broker, namespace) for _ in range(MEMBERS)]
            for number in range(ROUNDS):
                members.append(await joined(database_url, broker, namespace))
                await leave(members.pop(chance.randrange(len(members))), killed=TORTURE and number % 2 == 0)
            written.set()
            await tasks[1]
            await world.settle()
        finally:
            stop.set()
            written.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            for it in members:
                await leave(it, killed=True)
        reports = [await rebuilder.rebuild(it) for rebuilder in [await rebuilder_of(world)] for it in VIEWS]
        events = await world.reader.horizon()

    killed = ROUNDS // 2 if TORTURE else 0
    print(
        f"\nrow 13: {ROUNDS} joined and {ROUNDS} left, {killed} of them killed, while {events} events were "
        f"written; {sum(it.rows for it in reports)} rows of {len(reports)} views equal a rebuild"
    )
    assert [it.view for it in reports if not it.equal] == []
    assert sum(it.rows for it in reports) > 0


async def joined(url: str, broker: LocalBroker, namespace: str) -> Process:
    """One more, once it has a share of the partitions."""
    arguments = [sys.executable, "-m", "tests.faults.projector_process", url, broker.address, namespace]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"joined" not in (line := await process.stdout.readline()):
            assert line, "it ended"
    return process


async def leave(process: Process, *, killed: bool) -> None:
    (process.kill if killed else process.terminate)()
    async with asyncio.timeout(60):
        await process.communicate()


async def write(world: World, written: asyncio.Event) -> None:
    """Customers and leads, without pause."""
    number = 0
    while not written.is_set():
        number += 1
        email = EmailAddress(f"person.{number}@example.com")
        await asyncio.gather(
            world.application.create(lambda email=email: lead_of(email), context=at()),  # type: ignore[misc]
            world.application.create(lambda email=email: customer_of(email), context=at()),  # type: ignore[misc]
        )
        await asyncio.sleep(0.01)


def lead_of(email: EmailAddress) -> Lead:
    lead = Lead.capture(id=uuid7(), subject_id=uuid7(), source="fair", name="A", email=email)
    lead.contact(note="met at the fair")
    return lead


def customer_of(email: EmailAddress) -> Customer:
    return Customer.register(
        id=uuid7(),
        subject_id=uuid7(),
        kind=CustomerKind.PERSON,
        source="fair",
        lawful_basis=LawfulBasis.CONTRACT,
        purpose="support",
        name="A",
        email=email,
    )


async def rebuilder_of(world: World) -> Rebuilder:
    """Under the blind index's key that the projectors have."""
    assert world.pool is not None
    ring = await key_ring_at(world.pool, MemoryKekPlace(FileKek(bytes(32))), namespace=NAMESPACE)
    blind = HmacBlindIndex(await ring.system_key(HmacBlindIndex.KEY_NAME))
    return Rebuilder(world.pool, world.reader, world.mapper, world.unsealer, blind)
