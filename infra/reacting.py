"""Follows the log and lets the reactions act on it: at least once each, which they are made for.

A record whose event a reaction stumbles over is parked: its later events wait, those of others do not.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.persistence import Notification
from psycopg import AsyncConnection

from infra.outage import is_of_event, unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.apart import report
from infra.postgres.views.letters import Parked, park, parked, release_if_done, skips
from infra.undecoded import Decoder, TolerantDecoder, Undecoded
from services.ports import LogReader, Recorded

NAME = "reactions"
PAGE = 1_000
PATIENCE_SECONDS = 1.0
VERSION_MAX = 2**63 - 1


class Reaction(Protocol):
    """Acts on the events of the topics `causes`. May meet one again."""

    @property
    def causes(self) -> frozenset[str]: ...

    async def on(self, recorded: Recorded) -> None: ...


class CauseReader(LogReader, Protocol):
    """Reads the log, and records' events by their versions."""

    async def between(self, ranges: Sequence[tuple[UUID, int, int]]) -> Sequence[Notification]: ...


class ReactionRunner:
    """Its checkpoint moves once a page's reactions are done, so that a crash repeats some and misses none."""

    name = NAME

    def __init__(self, pool: Pool, reader: CauseReader, mapper: Decoder, *reactions: Reaction) -> None:
        self._pool = pool
        self._reader = reader
        self._mapper = TolerantDecoder(mapper)
        self._reactions = reactions
        self._causes = frozenset[str]().union(*(it.causes for it in reactions))

    async def run(self, stop: asyncio.Event) -> None:
        """React until `stop` is set. Raises `Unavailable`; started again, it goes on from there."""
        position = await self._checkpoint()
        while not stop.is_set():
            page = await self._reader.read(position, PAGE)
            if not page:
                await self._reader.wait(position, PATIENCE_SECONDS)
                continue
            await self._react([it for it in page if it.topic in self._causes])
            position = page[-1].id
            await self._advance(position)

    async def drain(self, ids: Collection[UUID]) -> int:
        """Do what was held back of these records, in order; how many of them wait no more."""
        return sum([await self._drain(id) for id in ids])

    async def _react(self, causes: Sequence[Notification]) -> None:
        if not causes:
            return
        async with self._connection() as connection:
            held = {id for _, id in await parked(connection, [NAME], {_id(it) for it in causes})}
        for cause in causes:
            if _id(cause) not in held and not await self._acted(cause):
                held.add(_id(cause))

    async def _drain(self, id: UUID) -> bool:
        """From the event at which it stumbled to the last there is, and to those that come meanwhile."""
        done = 0
        while True:
            async with self._connection() as connection, connection.transaction():
                # What the runner held back it held back before this: whoever asks now waits for our answer.
                first = await release_if_done(connection, NAME, id, done, self._causes)
            if first is None:
                return True
            events = await self._reader.between([(id, first - 1, VERSION_MAX)])
            for it in events:
                if it.topic in self._causes and not await self._acted(it):
                    return False
            done = events[-1].originator_version

    async def _acted(self, cause: Notification) -> bool:
        """Let the reactions act on the event; where one stumbles, park the record. Whether all did."""
        recorded = self._mapper.to_domain_event(cause)
        try:
            if isinstance(recorded, Undecoded):
                raise recorded.error
            for reaction in self._reactions:
                if cause.topic in reaction.causes:
                    await reaction.on(recorded)
        except Exception as error:
            if not is_of_event(error):
                raise
            return await self._stumbled(recorded, error)
        return True

    async def _stumbled(self, recorded: Recorded, error: Exception) -> bool:
        """Whether to go on all the same, for somebody decided so."""
        letter = Parked.of(NAME, recorded, error)
        async with self._connection() as connection:
            passed = await skips(connection, NAME, [letter.originator_id])
            if (letter.originator_id, letter.version) in passed:
                return True
            await park(connection, letter)
        report([letter])
        return False

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                yield connection

    async def _checkpoint(self) -> int:
        async with self._connection() as connection:
            found = await connection.execute("SELECT position FROM log.followers WHERE name = %s", [NAME])
            row = await found.fetchone()
        return int(row[0]) if row else 0

    async def _advance(self, position: int) -> None:
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO log.followers AS it (name, position) VALUES (%s, %s) ON CONFLICT (name)"
                " DO UPDATE SET position = greatest(it.position, excluded.position)",
                [NAME, position],
            )


def _id(notification: Notification) -> UUID:
    id = notification.originator_id
    assert isinstance(id, UUID)  # noqa: S101 - so it is in our log
    return id
