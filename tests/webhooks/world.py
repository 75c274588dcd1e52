"""One endpoint of one receiver over a log in PostgreSQL, with a clock that is set by hand."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import Notification

from domain.webhook.events import ParkCause
from infra.eventstore.reader import FencedReader
from infra.postgres.database import Pool, open_pool
from infra.tide import Tide
from infra.webhooks.endpoints import Endpoint
from infra.webhooks.lease import GroupLease, Waiting
from infra.webhooks.reach import Reach, networks_of
from infra.webhooks.sending import Sender
from infra.webhooks.session import Session
from tests.streams import START, stored
from tests.webhooks.receiver import Receiver

SECRET = b"\x07" * 32
INSERT = "INSERT INTO log.events (originator_id, originator_version, topic, state) VALUES (%s, %s, %s, %s)"
RECORDS = [UUID(int=0x0196_0000_0000_7000_8000_0000_0000_0000 + it) for it in range(200)]


@dataclass
class Hands:
    """A clock that is set by hand."""

    moment: Any = START

    def now(self) -> Any:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


@dataclass
class World:
    """What a session needs. `parked`: why it was parked, each time."""

    url: str
    pool: Pool
    reader: FencedReader
    lease: GroupLease
    receiver: Receiver
    endpoint: Endpoint
    clock: Hands = field(default_factory=Hands)
    parked: list[ParkCause] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)

    def append(self, *records: int, topic: str = "lead.qualified") -> None:
        """An event of each of these records, by number, in this order."""
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            for number in records:
                id = RECORDS[number]
                self.versions[id] = self.versions.get(id, 0) + 1
                it = stored(0, id, self.versions[id], topic)
                cursor.execute(INSERT, [it.originator_id, it.originator_version, it.topic, it.state])

    async def log(self) -> Sequence[Notification]:
        return await self.reader.read(0, 100_000)

    async def progress(self) -> tuple[int, list[Waiting]]:
        """The cursor, and who waits, as they are stored."""
        return await self.lease.begin(self.endpoint, self.clock.now())

    @asynccontextmanager
    async def sending(self, endpoint: Endpoint | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """A session, until the block ends."""
        it = endpoint or self.endpoint
        sender = Sender(Reach(networks_of("127.0.0.0/8")), it.url, connections=8)
        tide = Tide(self.reader)

        async def park(endpoint: Endpoint, cause: ParkCause) -> None:
            self.parked.append(cause)

        async def secrets(id: UUID, numbers: Sequence[int]) -> list[bytes]:
            return [SECRET for _ in numbers]

        session = Session(
            it,
            secrets,
            "main",
            lease=self.lease,
            tide=tide,
            records=self.reader,
            post=sender,
            clock=self.clock,
            park=park,
            chance=random.Random(1),
        )
        task = asyncio.create_task(session.run())
        try:
            yield task
            session.end()
            if not task.cancelled():
                await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            tide.close()
            await sender.close()


@asynccontextmanager
async def world(url: str, receiver: Receiver, **more: Any) -> AsyncIterator[World]:
    pool = await open_pool(url, size=4)
    lease = GroupLease(url)
    endpoint = Endpoint(
        id=UUID(int=5),
        version=1,
        position=0,
        url=f"http://127.0.0.1:{receiver.port}/",
        types=(),
        description=None,
        registered_at=START,
        after=0,
        begun=1,
        revived=1,
    )
    try:
        await lease.join()
        yield World(url, pool, FencedReader(pool), lease, receiver, replace(endpoint, **more))
    finally:
        await lease.leave()
        await pool.close()
