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
from infra.postgres.views.form import ViewForm
from infra.postgres.views.letters import forget, succeed
from infra.postgres.views.standing import Standing, Standings, difference, note_built, tables
from infra.postgres.views.store import SWITCH_LOCK, PostgresViewStore
from infra.postgres.views.tables import TABLES, VIEWS, Table
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
    """What came of a rebuild. The hashes are over all rows of the view, at the same position of the log.

    `live_hash` is empty where the live tables were gone, or of another form.
    """

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
        self,
        pool: Pool,
        reader: LogReader,
        mapper: Decoder,
        unsealer: Unsealer,
        blind: BlindIndex,
        *,
        tables: Sequence[Table[Any]] = TABLES,
        standings: Standings | None = None,
    ) -> None:
        self.pool = pool
        self.reader = reader
        self.mapper = TolerantDecoder(mapper)
        self.unsealer = unsealer
        self.blind = blind
        self.tables = tables
        self.standings = standings or Standings()

    async def rebuild(self, view: str, progress: Progress = lambda done, total: None) -> RebuildReport:
        """Build the view anew and switch to it, whether it equals the live one or not: the log is right.

        Its tables are made as this program declares them; the live ones may be another release's, or gone.
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
        form, beside = self.standings.forms[view], f"{view}_next"
        async with self.pool.connection() as connection, connection.transaction():
            if await _is_begun(connection, beside, form):
                return
            await connection.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(beside))
            )
            await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(beside)))
            for table in form.tables:
                for statement in table.creating(beside):
                    await connection.execute(statement)
            await forget(connection, beside)
            await connection.execute(
                "INSERT INTO views.tracking (view, source, position) VALUES (%s, %s, 0) "
                "ON CONFLICT (view, source) DO UPDATE SET position = 0",
                [view, NEXT],
            )
            await note_built(connection, beside, form)

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
            form = self.standings.forms[view]
            whole = difference(form, await tables(connection, [view])) is None
            if view == "directory":
                await _purge(connection, "directory_next")
                if whole:
                    await _purge(connection, "directory")
            live_hash = (await _hash(connection, view, form))[0] if whole else ""
            rebuilt_hash, rows = await _hash(connection, f"{view}_next", form)
            await _take_over(connection, view, form, horizon)
        return RebuildReport(view, horizon, rows, live_hash, rebuilt_hash)

    async def _bring_live(self, connection: AsyncConnection[Any], view: str, horizon: int) -> None:
        """The live view as far as the rebuilt one: what the projector would do next, and then passes over.

        One that nobody keeps up, or that is another release's, stays as it is.
        """
        if (await self.standings.of(connection, [view]))[view] is not Standing.LIVE:
            return
        if difference(self.standings.forms[view], await tables(connection, [view])) is not None:
            return  # damaged, and nobody has noticed yet
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
        return PostgresViewStore(
            self.pool,
            self.unsealer,
            self.blind,
            views=[view],
            suffix=suffix,
            tables=self.tables,
            standings=self.standings,
        )


async def _is_begun(connection: AsyncConnection[Any], beside: str, form: ViewForm) -> bool:
    """Whether tables of this form lie there, from a rebuild that was interrupted."""
    cursor = await connection.execute("SELECT fingerprint FROM views.built WHERE view = %s", [beside])
    if await cursor.fetchone() != (form.fingerprint,):
        return False
    return {it.name for it in form.tables} <= set(await _tables(connection, beside))


async def _take_over(connection: AsyncConnection[Any], view: str, form: ViewForm, horizon: int) -> None:
    """The rebuilt tables, which have come to this position, become the live ones."""
    for name, to in ((view, f"{view}_old"), (f"{view}_next", view)):
        if await _exists(connection, name):
            await connection.execute(
                sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to))
            )
    await connection.execute("DELETE FROM views.tracking WHERE view = %s AND source = %s", [view, NEXT])
    # It may have stood still, or be new: whoever feeds the other views goes on from here.
    await connection.execute(
        "INSERT INTO views.tracking AS live (view, source, position) "
        "SELECT DISTINCT %s, source, %s FROM views.tracking WHERE source <> %s "
        "ON CONFLICT (view, source) DO UPDATE SET position = greatest(live.position, excluded.position)",
        [view, horizon, NEXT],
    )
    await succeed(connection, view, f"{view}_next")
    await connection.execute("DELETE FROM views.built WHERE view = %s", [f"{view}_next"])
    await note_built(connection, view, form)


async def _exists(connection: AsyncConnection[Any], schema: str) -> bool:
    cursor = await connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])
    return await cursor.fetchone() is not None


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


async def _hash(connection: AsyncConnection[Any], schema: str, form: ViewForm) -> tuple[str, int]:
    """SHA-256 over the view's rows, in whatever order they and their columns lie; and how many there are."""
    whole, rows = hashlib.sha256(), 0
    for table in sorted(form.tables, key=lambda it: it.name):
        columns = sql.SQL(", ").join(sql.Identifier("it", name.name) for name in table.columns)
        cursor = await connection.execute(
            sql.SQL(
                "SELECT count(*), sha256(coalesce(string_agg(digest, ''::bytea ORDER BY digest), ''::bytea)) "
                "FROM (SELECT sha256(convert_to(ROW({})::text, 'UTF8')) AS digest FROM {} AS it) AS digests"
            ).format(columns, sql.Identifier(schema, table.name))
        )
        count, digest = await cursor.fetchone() or (0, b"")
        whole.update(table.name.encode() + b"\0" + digest)
        rows += count
    return whole.hexdigest(), rows
