"""Rebuilds a view from the first event, beside the live one, and puts it in the live one's place at once.

Nobody waits for it but, for the moment of the switch, the projector. Killed at any point, it leaves the live
view as it is; started again, it goes on where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eventsourcing.persistence import Notification
from psycopg import AsyncConnection, sql

from infra.outage import unavailable_on_outage
from infra.postgres.advisory import advisory_lock
from infra.postgres.database import Pool
from infra.postgres.views.beside import (
    NEXT,
    hash_of,
    is_begun,
    last_settled,
    missing,
    purge,
    take_over,
    tracked,
)
from infra.postgres.views.letters import forget
from infra.postgres.views.standing import Standing, Standings, difference, note_built, tables
from infra.postgres.views.store import SWITCH_LOCK, PostgresViewStore
from infra.postgres.views.tables import TABLES, VIEWS, Table
from infra.projector import BATCH_EVENTS_MAX, KAFKA, LOG, LogSource
from infra.undecoded import Decoder, TolerantDecoder
from services.ports import BlindIndex, LogReader, Recorded, Unsealer

REBUILD_LOCK = 0x6C657468650003
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


class PlaceReader(LogReader, Protocol):
    """Reads the log, and events by where they are."""

    async def at_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions, in order."""
        ...


class Rebuilder:
    """Rebuilds views, one at a time in a database."""

    def __init__(
        self,
        pool: Pool,
        reader: PlaceReader,
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
            async with advisory_lock(self.pool, REBUILD_LOCK) as mine:
                if not mine:
                    raise RebuildRunning("a rebuild is running already")
                await self._prepare(view)
                await self._build(view, progress)
                report = await self._switch(view, await self._settled(view))
                await self._drop_old(view)
        progress(report.position, report.position)
        return report

    async def _prepare(self, view: str) -> None:
        """Empty tables beside the live ones, unless an interrupted rebuild left some that are begun."""
        await self._drop_old(view)
        form, beside = self.standings.forms[view], f"{view}_next"
        async with self.pool.connection() as connection, connection.transaction():
            if await is_begun(connection, beside, form):
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

    async def _switch(self, view: str, settled: int) -> RebuildReport:
        async with self.pool.connection() as connection, connection.transaction():
            # From here on no batch moves the live views. The horizon is asked for before this transaction
            # writes: the fence would wait for it.
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [SWITCH_LOCK])
            horizon = await self.reader.horizon()
            built = await tracked(connection, view, NEXT) or 0
            await self._bring(connection, self._store(view, "_next"), NEXT, built, horizon)
            await self._bring_live(connection, view, settled, horizon)
            form = self.standings.forms[view]
            whole = difference(form, await tables(connection, [view])) is None
            if view == "directory":
                await purge(connection, "directory_next")
                if whole:
                    await purge(connection, "directory")
            live_hash = (await hash_of(connection, view, form))[0] if whole else ""
            rebuilt_hash, rows = await hash_of(connection, f"{view}_next", form)
            await take_over(connection, view, form, horizon)
        return RebuildReport(view, horizon, rows, live_hash, rebuilt_hash)

    async def _bring_live(
        self, connection: AsyncConnection[Any], view: str, settled: int, horizon: int
    ) -> None:
        """The live view as far as the rebuilt one: what the projector would do next, and then passes over.

        One that nobody keeps up, or that is another release's, stays as it is.
        """
        if (await self.standings.of(connection, [view]))[view] is not Standing.LIVE:
            return
        if difference(self.standings.forms[view], await tables(connection, [view])) is not None:
            return  # damaged, and nobody has noticed yet
        # Where rows lack events that they ought to show, those stay as they are: the hash will tell.
        store, shown = self._store(view, ""), await tracked(connection, view, LOG)
        if shown is not None:
            await self._bring(connection, store, LOG, shown, horizon)
        else:
            await self._bring_missing(connection, store, settled, horizon)

    async def _bring_missing(
        self, connection: AsyncConnection[Any], store: PostgresViewStore, settled: int, horizon: int
    ) -> None:
        """Fed from Kafka, the views may lack events here and there: those that are on their way."""
        if difference(self.standings.forms["timeline"], await tables(connection, ["timeline"])) is not None:
            return  # nothing tells which
        positions = await missing(connection, settled, horizon)
        for start in range(0, len(positions), BATCH_EVENTS_MAX):
            stored = await self.reader.at_positions(positions[start : start + BATCH_EVENTS_MAX])
            await store.bring(connection, [self.mapper.to_domain_event(it) for it in stored], KAFKA)

    async def _settled(self, view: str) -> int:
        """Up to where views that are fed from Kafka lack nothing: found out before anybody has to wait."""
        async with self.pool.connection() as connection:
            if await tracked(connection, view, LOG) is not None:
                return 0
            if (
                difference(self.standings.forms["timeline"], await tables(connection, ["timeline"]))
                is not None
            ):
                return 0
            return await last_settled(connection)

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
