"""A projector or a rebuild in a process of its own, to be killed.

Arguments: `project` or `rebuild`, the database's URL, the blind index's key in hexadecimal, and, for views
fed from Kafka, a broker and a namespace. A rebuild says how far it has come, a line a batch.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import infra.projector
import infra.rebuild
from infra.blindindex import HmacBlindIndex
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.eventstore.unsealer import BoxUnsealer
from infra.kek import FileKek, fingerprint
from infra.memory.kek import MemoryKekPlace
from infra.postgres.database import open_pool
from infra.postgres.keystore import key_ring_at
from infra.postgres.views.store import PostgresViewStore
from infra.projector import KAFKA, Projector, following_log
from infra.rebuild import Rebuilder
from infra.undecoded import TolerantDecoder
from services.ports import DataKey, EventSource

NAMESPACE = "main"
# Small, so that there is something under way whenever it is killed.
BATCH = 40
infra.projector.BATCH_EVENTS_MAX = BATCH
setattr(infra.rebuild, "BATCH_EVENTS_MAX", BATCH)  # noqa: B010 - it is imported there


async def work(role: str, url: str, secret: str, *kafka: str) -> None:
    pool = await open_pool(url, size=4)
    key = DataKey(fingerprint(bytes.fromhex(secret)), bytes.fromhex(secret))
    ring = await key_ring_at(pool, MemoryKekPlace(FileKek(bytes(32))), namespace=NAMESPACE)
    unsealer, blind = BoxUnsealer(ring, NAMESPACE), HmacBlindIndex(key)
    reader, mapper = FencedReader(pool), EventMapper(NAMESPACE)
    if role == "rebuild":
        rebuilder = Rebuilder(pool, reader, mapper, unsealer, blind)
        report = await rebuilder.rebuild("pipeline", lambda done, total: print(done, flush=True))
        print("equal" if report.equal else "different", flush=True)
        return
    store = PostgresViewStore(pool, unsealer, blind)

    @asynccontextmanager
    async def source() -> AsyncIterator[EventSource]:
        if not kafka:
            async with following_log(pool, reader, mapper, store) as log:
                yield log
            return
        from infra.kafka.consumer import KafkaSource
        from infra.kafka.record import topics

        address, namespace = kafka
        group = KafkaSource(address, f"{namespace}.views", topics(namespace), TolerantDecoder(mapper))
        try:
            yield group
        finally:
            await group.close()

    projector = Projector(source, store, name=KAFKA if kafka else "log")
    await projector.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
