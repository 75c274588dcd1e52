"""A projector in a process of its own, fed from Kafka. Arguments: database URL, broker, namespace.

Says a line when it has a share of the topics, and leaves the group in good order at SIGTERM.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.blindindex import HmacBlindIndex
from infra.eventstore.mapper import EventMapper
from infra.eventstore.unsealer import BoxUnsealer
from infra.kafka.consumer import KafkaSource
from infra.kafka.record import topics
from infra.kek import FileKek
from infra.memory.kek import MemoryKekPlace
from infra.postgres.database import open_pool
from infra.postgres.keystore import key_ring_at
from infra.postgres.views.store import PostgresViewStore
from infra.projector import KAFKA, Projector
from infra.supervision import supervise
from infra.undecoded import TolerantDecoder
from services.ports import EventSource
from tests.projections.worlds import NAMESPACE


async def project(url: str, broker: str, namespace: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await open_pool(url, size=3)
    ring = await key_ring_at(pool, MemoryKekPlace(FileKek(bytes(32))), namespace=NAMESPACE)
    blind = HmacBlindIndex(await ring.system_key(HmacBlindIndex.KEY_NAME))
    store = PostgresViewStore(pool, BoxUnsealer(ring, NAMESPACE), blind)

    @asynccontextmanager
    async def share() -> AsyncIterator[EventSource]:
        decoder = TolerantDecoder(EventMapper(NAMESPACE))
        source = KafkaSource(broker, f"{namespace}.views", topics(namespace), decoder)
        telling = asyncio.create_task(tell(source))
        try:
            yield source
        finally:
            telling.cancel()
            await source.close()

    try:
        projector = Projector(share, store, name=KAFKA)
        await supervise("projector", lambda: projector.run(stop), stop)
    finally:
        await pool.close()


async def tell(source: KafkaSource) -> None:
    while not source.partitions():  # noqa: ASYNC110 - it is told by the brokers
        await asyncio.sleep(0.02)
    print("joined", flush=True)


if __name__ == "__main__":
    asyncio.run(project(*sys.argv[1:]))
