"""A member of the group that sends webhooks, in a process to be killed. Argument: database URL."""

import asyncio
import sys

from infra.clock import SystemClock
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.memory.eventstore import MemoryEventStore
from infra.memory.keyring import MemoryKeyRing
from infra.postgres.database import open_pool
from infra.webhooks.deliverer import Deliverer
from infra.webhooks.lease import GroupLease
from infra.webhooks.reach import Reach, networks_of
from infra.webhooks.store import WebhookStore
from services.application import Application
from services.ports import DataKey
from services.webhooks import Webhooks

KEY = DataKey("ab" * 32, b"\x05" * 32)


async def send(url: str) -> None:
    pool, mapper, clock = await open_pool(url, size=2), EventMapper("main"), SystemClock()
    reach = Reach(networks_of("127.0.0.0/8"))
    # Nobody is parked here: nothing is written to the log.
    application = Application(MemoryEventStore(mapper, MemoryKeyRing(), clock), clock)
    deliverer = Deliverer(
        GroupLease(url),
        WebhookStore(pool, mapper, KEY, "main"),
        Webhooks(application, reach.unfit),
        FencedReader(pool),
        reach,
        clock,
        "main",
    )
    await deliverer.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1]))
