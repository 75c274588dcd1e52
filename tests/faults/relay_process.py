"""A relay in a process of its own, to be killed. Arguments: database URL, broker, namespace."""

import asyncio
import sys

from infra.eventstore.reader import FencedReader
from infra.kafka.relay import Relay
from infra.postgres.database import open_pool
from infra.postgres.relay_lease import PostgresRelayLease


async def relay(url: str, broker: str, namespace: str) -> None:
    pool = await open_pool(url, size=2)
    try:
        # In small chunks, so that there is something under way whenever it is killed.
        one = Relay(FencedReader(pool), broker, namespace, PostgresRelayLease(url), chunk_events_max=200)
        await one.run(asyncio.Event())
    finally:
        await pool.close()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:]))
