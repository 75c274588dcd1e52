"""Replays of the log, as PostgreSQL remembers them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg.rows import class_row

from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.replay import AnotherReplay, Replay

BEGIN: LiteralString = """
INSERT INTO log.replays (name, topic, types, after, until, position) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO NOTHING
"""
ALL: LiteralString = """
SELECT name, topic, types, after, until, position, begun_at, ended_at FROM log.replays ORDER BY begun_at, name
"""
ADVANCE: LiteralString = """
UPDATE log.replays SET position = greatest(position, %(position)s),
    ended_at = CASE WHEN %(position)s >= until THEN coalesce(ended_at, now()) END
WHERE name = %(name)s
"""


@dataclass(frozen=True, slots=True)
class KnownReplay:
    """A replay that was begun; `ended_at` once all of it is on its topic."""

    name: str
    topic: str
    types: list[str] | None
    after: int
    until: int
    position: int
    begun_at: datetime
    ended_at: datetime | None

    def asked(self) -> Replay:
        """What it publishes."""
        types = None if self.types is None else frozenset(self.types)
        return Replay(self.name, self.topic, types, self.after, self.until)


class PostgresReplays:
    """Implements `infra.replay.Replays`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, replay: Replay) -> tuple[Replay, int]:
        types = None if replay.types is None else sorted(replay.types)
        given = [replay.name, replay.topic, types, replay.after, replay.until, replay.after]
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(BEGIN, given)
        [known] = [it for it in await self.all() if it.name == replay.name]
        first = known.asked()
        if (first.topic, first.types, first.after) != (replay.topic, replay.types, replay.after):
            raise AnotherReplay(f"{replay.name}: {(AnotherReplay.__doc__ or '').rstrip('.')}")
        return first, known.position

    async def advance(self, name: str, position: int) -> None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(ADVANCE, {"name": name, "position": position})

    async def all(self) -> Sequence[KnownReplay]:
        """Every replay that was begun and not deleted, oldest first."""
        with unavailable_on_outage():
            async with (
                self._pool.connection() as connection,
                connection.cursor(row_factory=class_row(KnownReplay)) as cursor,
            ):
                await cursor.execute(ALL)
                return await cursor.fetchall()

    async def forget(self, name: str) -> None:
        """It is gone, topic and all."""
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute("DELETE FROM log.replays WHERE name = %s", [name])
