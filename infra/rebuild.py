"""Rebuilds a view from the first event, beside the live one, and puts it in the live one's place at once.

Nobody waits for it but, for the moment of the switch, the projector. Killed at any point, it leaves the live
view as it is; started again, it goes on where it was.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.letters import forget, succeed
from infra.postgres.views.store import SWITCH_LOCK, PostgresViewStore
from infra.postgres.views.tables import VIEWS
from infra.projector import BATCH_EVENTS_MAX, KAFKA, LOG, LogSource
from infra.undecoded import Decoder, TolerantDecoder
from services.ports import BlindIndex, LogReader, Recorded, Unsealer

REBUILD_LOCK = 0x6C657468650003
NEXT = "next"
Progress = Callable[[int, int], None]
"""Told the position reached, and the position to reach."""


class UnknownView(ValueError):
    """There is no view of this name that is kept in rows."""


class RebuildRunning(Exception):
    """Another process rebuilds a view just now."""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What came of a rebuild. The hashes are over all rows of the view, at the same position of the log."""

    view: str
    position: int
    rows: int
    live_hash: str
    rebuilt_hash: str

    @property
    def equal(self) -> bool:
        """Whether the live view was what the log says."""
        return self.live_hash == self.rebuilt_hash


class Rebuilder:
    """Rebuilds views, one at a time in a database."""

    def __init__(
        self, pool: Pool, reader: LogReader, mapper: Decoder, unsealer: Unsealer, blind: BlindIndex
    ) -> None:
        self.pool = pool
        self.reader = reader
        self.mapper = TolerantDecoder(mapper)
        self.unsealer = unsealer
        self.blind = blind

    async def rebuild(self, view: str, progress: Progress = lambda done, total: None) -> RebuildReport:
        """Build the view anew and switch to it, whether it equals the live one or not: the log is right.

        Raises `UnknownView`, `RebuildRunning` or `Unavailable`; the live view then is as it was.
        """
        if view not in VIEWS:
            raise UnknownView(f"there is no view {view!r}: there are {', '.join(VIEWS)}")
        with unavailable_on_outage():
            async with self._alone():
                await self._prepare(view)
                await self._build(view, progress)
                report = await self._switch(view)
                await self._drop_old(view)
        progress(report.position, report.position)
        return report

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [REBUILD_LOCK])
            if await cursor.fetchone() != (True,):
                raise RebuildRunning("a rebuild is running already")
            try:
                yield
            finally:
                if not connection.broken:
                    await connection.execute("SELECT pg_advisory_unlock(%s)", [REBUILD_LOCK])

    async def _prepare(self, view: str) -> None:
        """Empty tables beside the live ones, unless an interrupted rebuild left some that are begun."""
        await self._drop_old(view)
        async with self.pool.connection() as connection, connection.transaction():
            if await _tracked(connection, view, NEXT) is not None:
                return
            beside = sql.Identifier(f"{view}_next")
            await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(beside))
            await connection.execute(sql.SQL("CREATE SCHEMA {}").format(beside))
            for table in await _tables(connection, view):
                await connection.execute(
                    sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                        sql.Identifier(f"{view}_next", table), sql.Identifier(view, table)
                    )
                )
            await forget(connection, f"{view}_next")
            await connection.execute(
                "INSERT INTO views.tracking (view, source, position) VALUES (%s, %s, 0)", [view, NEXT]
            )

    async def _build(self, view: str, progress: Progress) -> None:
        store = self._store(view, "_next")
        source = LogSource(self.reader, self.mapper, await store.tracked(NEXT))
        try:
            total = await self.reader.horizon()
            while batch := await source.next(limit=BATCH_EVENTS_MAX, timeout=0):
                await store.apply(batch, NEXT)
                progress(source.after, max(total, source.after))
        finally:
            await source.close()

    async def _switch(self, view: str) -> RebuildReport:
        async with self.pool.connection() as connection, connection.transaction():
            # From here on no batch moves the live views. The horizon is asked for before this transaction
            # writes: the fence would wait for it.
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [SWITCH_LOCK])
            horizon = await self.reader.horizon()
            built = await _tracked(connection, view, NEXT) or 0
            await self._bring(connection, self._store(view, "_next"), NEXT, built, horizon)
            await self._bring_live(connection, view, horizon)
            if view == "directory":
                await _purge(connection, "directory")
                await _purge(connection, "directory_next")
            live_hash, _ = await _hash(connection, view)
            rebuilt_hash, rows = await _hash(connection, f"{view}_next")
            for name, to in ((view, f"{view}_old"), (f"{view}_next", view)):
                await connection.execute(
                    sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
                )
            await connection.execute(
                "DELETE FROM views.tracking WHERE view = %s AND source = %s", [view, NEXT]
            )
            await succeed(connection, view, f"{view}_next")
        return RebuildReport(view, horizon, rows, live_hash, rebuilt_hash)

    async def _bring_live(self, connection: AsyncConnection[Any], view: str, horizon: int) -> None:
        """The live view as far as the rebuilt one: what the projector would do next, and then passes over."""
        source = LOG if await _tracked(connection, view, LOG) is not None else KAFKA
        shown = await _tracked(connection, view, LOG) if source == LOG else await _first_missing(connection)
        # Where rows lack events that they ought to show, those stay as they are: the hash will tell.
        await self._bring(connection, self._store(view, ""), source, shown or 0, horizon)

    async def _bring(
        self, connection: AsyncConnection[Any], store: PostgresViewStore, source: str, after: int, to: int
    ) -> None:
        while after < to and (page := await self.reader.read(after, BATCH_EVENTS_MAX)):
            after = page[-1].id
            batch: Sequence[Recorded] = [self.mapper.to_domain_event(it) for it in page if it.id <= to]
            if batch:
                await store.bring(connection, batch, source)

    async def _drop_old(self, view: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(f"{view}_old"))
            )

    def _store(self, view: str, suffix: str) -> PostgresViewStore:
        return PostgresViewStore(self.pool, self.unsealer, self.blind, views=[view], suffix=suffix)


async def _tables(connection: AsyncConnection[Any], schema: str) -> list[str]:
    cursor = await connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename", [schema]
    )
    return [record[0] for record in await cursor.fetchall()]


async def _tracked(connection: AsyncConnection[Any], view: str, source: str) -> int | None:
    cursor = await connection.execute(
        "SELECT position FROM views.tracking WHERE view = %s AND source = %s", [view, source]
    )
    record = await cursor.fetchone()
    return None if record is None else int(record[0])


async def _first_missing(connection: AsyncConnection[Any]) -> int:
    """The position before the first event that the views do not show; fed from Kafka, they may have holes."""
    cursor = await connection.execute(
        "SELECT coalesce(min(position) - 1, (SELECT max(position) FROM log.events), 0) FROM log.events AS it "
        "WHERE NOT EXISTS (SELECT FROM timeline.entries WHERE entries.position = it.position)"
    )
    record = await cursor.fetchone()
    return 0 if record is None else int(record[0])


async def _purge(connection: AsyncConnection[Any], schema: str) -> None:
    """Take whoever was erased meanwhile out of the blind index: the purge knew the live one only."""
    await connection.execute(
        sql.SQL(
            "DELETE FROM {0} WHERE subject_id IN (SELECT subject_id FROM keys.standings("
            "(SELECT coalesce(array_agg(DISTINCT subject_id), ARRAY[]::uuid[]) FROM {0})) "
            "WHERE erased OR 'contact' = ANY (categories))"
        ).format(sql.Identifier(schema, "blind_index"))
    )


async def _hash(connection: AsyncConnection[Any], schema: str) -> tuple[str, int]:
    """SHA-256 over the view's rows, in whatever order they lie; and how many there are."""
    whole, rows = hashlib.sha256(), 0
    for table in await _tables(connection, schema):
        cursor = await connection.execute(
            sql.SQL(
                "SELECT count(*), sha256(coalesce(string_agg(digest, ''::bytea ORDER BY digest), ''::bytea)) "
                "FROM (SELECT sha256(convert_to(it::text, 'UTF8')) AS digest FROM {} AS it) AS digests"
            ).format(sql.Identifier(schema, table))
        )
        count, digest = await cursor.fetchone() or (0, b"")
        whole.update(table.encode() + b"\0" + digest)
        rows += count
    return whole.hexdigest(), rows
