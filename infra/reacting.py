"""Follows the log and lets the reactions act on it: at least once each, which they are made for."""

import asyncio
from typing import Protocol

from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from services.ports import LogReader, Recorded

NAME = "reactions"
PAGE = 1_000
PATIENCE_SECONDS = 1.0


class Reaction(Protocol):
    """Acts on the events of the topics `causes`. May meet one again."""

    @property
    def causes(self) -> frozenset[str]: ...

    async def on(self, recorded: Recorded) -> None: ...


class ReactionRunner:
    """Its checkpoint moves once a page's reactions are done, so that a crash repeats some and misses none."""

    def __init__(self, pool: Pool, reader: LogReader, mapper: EventMapper, *reactions: Reaction) -> None:
        self._pool = pool
        self._reader = reader
        self._mapper = mapper
        self._reactions = reactions

    async def run(self, stop: asyncio.Event) -> None:
        """React until `stop` is set. Raises what a reaction raises; started again, it goes on from there."""
        position = await self._checkpoint()
        while not stop.is_set():
            page = await self._reader.read(position, PAGE)
            if not page:
                await self._reader.wait(position, PATIENCE_SECONDS)
                continue
            for notification in page:
                for reaction in self._reactions:
                    if notification.topic in reaction.causes:
                        await reaction.on(self._mapper.to_domain_event(notification))
            position = page[-1].id
            await self._advance(position)

    async def _checkpoint(self) -> int:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                found = await connection.execute("SELECT position FROM log.followers WHERE name = %s", [NAME])
                row = await found.fetchone()
        return int(row[0]) if row else 0

    async def _advance(self, position: int) -> None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO log.followers AS it (name, position) VALUES (%s, %s) ON CONFLICT (name)"
                    " DO UPDATE SET position = greatest(it.position, excluded.position)",
                    [NAME, position],
                )
