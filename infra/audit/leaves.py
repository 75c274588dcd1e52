"""What the trees are made of: the leaves of the event log and of the access log, and how they are read.

Both are read as PostgreSQL sends them, in its binary form, and hashed without making objects of them: a leaf
is made of the very bytes that are stored.
"""

import asyncio
import time
from typing import Any, Final, LiteralString, Protocol
from uuid import UUID

from eventsourcing.persistence import Notification
from psycopg import AsyncConnection
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool

from infra.audit.merkle import leaf_hash
from infra.outage import unavailable_on_outage
from services.ports import LogReader

Pool = AsyncConnectionPool[AsyncConnection[Any]]

EVENT: Final = b"lethe/leaf/1\0"
ACCESS: Final = b"lethe/access/1\0"
LOOK_SECONDS: Final = 0.25


class LogDiffers(Exception):
    """What is stored is not what the tree was made of. One line that says where."""


class Source(Protocol):
    """An append-only table that a tree is made over."""

    log: str
    """The tree's name."""

    page: LiteralString
    """Rows above a position, up to another, so many: the position first, in order."""

    rows: LiteralString
    """The same rows, at certain positions."""

    page_rows: int
    """How many to ask for at once, by what they weigh."""

    async def horizon(self) -> int:
        """The position up to which nothing will be added any more. Raises `Unavailable`."""
        ...

    async def wait(self, after: int, timeout: float) -> bool:
        """Wait until there is something above this position; False when the time is up."""
        ...

    def hashed(self, result: PGresult) -> list[bytes]:
        """The leaf hashes of rows in PostgreSQL's binary form. Raises `LogDiffers`."""
        ...


def event_leaf(position: int, originator_id: UUID, version: int, topic: str, state: bytes) -> bytes:
    """The data of an event's leaf: all that is stored of it, as it is stored, sealed parts sealed."""
    name = topic.encode()
    return b"".join(
        (
            EVENT,
            position.to_bytes(8),
            originator_id.bytes,
            version.to_bytes(8),
            len(name).to_bytes(2),
            name,
            state,
        )
    )


def stored_leaf(stored: Notification) -> bytes:
    """The data of the leaf of an event as it was read from the log."""
    return event_leaf(
        stored.id,
        UUID(str(stored.originator_id)),
        stored.originator_version,
        stored.topic,
        stored.state,
    )


def access_leaf(body: bytes) -> bytes:
    """The data of an access batch's leaf."""
    return ACCESS + body


class EventSource:
    """The event log, behind the fence of its reader."""

    log = "log"
    page_rows = 2_000
    page: LiteralString = (
        "SELECT position, originator_id, originator_version, topic, state FROM log.events"
        " WHERE position > %s AND position <= %s ORDER BY position LIMIT %s"
    )
    rows: LiteralString = (
        "SELECT position, originator_id, originator_version, topic, state FROM log.events"
        " WHERE position = ANY(%s) ORDER BY position"
    )

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    async def horizon(self) -> int:
        return await self._reader.horizon()

    async def wait(self, after: int, timeout: float) -> bool:
        return await self._reader.wait(after, timeout)

    def hashed(self, result: PGresult) -> list[bytes]:
        return event_hashes(result)


def event_hashes(result: PGresult) -> list[bytes]:
    """The leaf hashes of rows of position, originator, version, topic and state, in binary form."""
    value: Any = result.get_value  # no column is null
    hashes = []
    for row in range(result.ntuples):
        topic = value(row, 3)
        parts = (
            EVENT,
            value(row, 0),
            value(row, 1),
            value(row, 2),
            len(topic).to_bytes(2),
            topic,
            value(row, 4),
        )
        hashes.append(leaf_hash(b"".join(parts)))
    return hashes


class AccessSource:
    """The access log. Its numbers rise in order of commit: what is seen is never overtaken.

    A batch that was pruned is its hash, which stays.
    """

    log = "access"
    page_rows = 100
    page: LiteralString = (
        "SELECT number, leaf_hash, body FROM access.batches"
        " WHERE number > %s AND number <= %s ORDER BY number LIMIT %s"
    )
    rows: LiteralString = (
        "SELECT number, leaf_hash, body FROM access.batches WHERE number = ANY(%s) ORDER BY number"
    )
    last: LiteralString = "SELECT coalesce(max(number), 0) FROM access.batches"

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def horizon(self) -> int:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                [number] = await (await connection.execute(self.last)).fetchone() or (0,)
        return int(number)

    async def wait(self, after: int, timeout: float) -> bool:
        until = time.monotonic() + timeout
        while await self.horizon() <= after:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    def hashed(self, result: PGresult) -> list[bytes]:
        return [self._hashed(result, row) for row in range(result.ntuples)]

    def _hashed(self, result: PGresult, row: int) -> bytes:
        number, kept, body = (result.get_value(row, column) for column in range(3))
        if body is not None and leaf_hash(access_leaf(body)) != kept:
            raise LogDiffers(f"access batch {int.from_bytes(number or b'')} is not what its hash says")
        return kept or b""
