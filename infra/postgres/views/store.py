"""Moves all views on by a batch of events: rows, timeline, blind index and tracking in one transaction.

Where an event cannot be digested, the batch is done again in parts, down to that event: its record is parked.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from domain.model import Sealed
from infra.deadletters import RecordReader
from infra.outage import is_of_event, unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.apart import Apart, Given, Shower, report
from infra.postgres.views.blind import Digests
from infra.postgres.views.letters import Parked, parked, release, skips
from infra.postgres.views.showing import Showing
from infra.postgres.views.standing import Standings
from infra.postgres.views.tables import TABLES, VIEWS, Table
from infra.undecoded import Decoder, Undecoded
from services.ports import BlindIndex, Recorded, Unsealer

SWITCH_LOCK = 0x6C657468650002
"""Shared by every batch; a rebuild takes it alone for the moment in which it switches views."""

VERSION_MAX = 2**63 - 1


class PostgresViewStore:
    """Keeps the given views in step with events. Safe to run in many processes at once.

    Each row knows the last version it shows, so that an event that comes again changes nothing.
    `suffix` names the schemas beside the live ones, for a rebuild.
    """

    def __init__(
        self,
        pool: Pool,
        unsealer: Unsealer,
        blind: BlindIndex,
        *,
        views: Collection[str] = VIEWS,
        suffix: str = "",
        tables: Sequence[Table[Any]] = TABLES,
        standings: Standings | None = None,
    ) -> None:
        self.pool = pool
        self.views = tuple(views)
        self.suffix = suffix
        self.standings = standings or Standings()
        self._digests = Digests(unsealer, blind)
        self.showing = Showing([table for table in tables if table.view in views], suffix)

    async def tracked(self, source: str) -> int:
        """The position up to which all of the views have come that are written; 0 at first.

        Raises `Superseded`.
        """
        with unavailable_on_outage():
            async with self.pool.connection() as connection:
                views = await self._writable(connection)
                cursor = await connection.execute(
                    "SELECT position FROM views.tracking WHERE view = ANY (%s) AND source = %s",
                    [list(views), source],
                )
                positions = [int(record[0]) for record in await cursor.fetchall()]
        return min(positions, default=0) if len(positions) == len(views) else 0

    async def apply(self, batch: Sequence[Recorded], source: str) -> None:
        """Move the views on, all together. Raises `Unavailable` or `Superseded`; then none has moved.

        Views that are to be built anew are left out: whoever builds them brings them to where the others are.
        An event that a view cannot digest parks its record: that view shows the record as it was before, the
        others and all other records move on. See `infra.deadletters`.
        """
        try:
            await self._apply_plainly(batch, source)
        except Exception as error:
            if not is_of_event(error):
                raise
        else:
            return
        await self._apply_apart(batch, source)

    async def apply_within(
        self,
        connection: AsyncConnection[Any],
        batch: Sequence[Recorded],
        source: str,
        digests: Mapping[Sealed, bytes],
    ) -> None:
        """The same, as part of the caller's transaction; raises what cannot be digested."""
        views = await self._writable(connection)
        held = await self._held(connection, views, batch)
        await self.showing.show(connection, views, batch, Given(digests, held=held))
        await self._end(connection, views, batch, source)

    async def bring(self, connection: AsyncConnection[Any], batch: Sequence[Recorded], source: str) -> None:
        """The same, as part of the caller's transaction; what cannot be digested is parked."""
        try:
            async with connection.transaction():
                _raise_undecoded(batch)
                await self.apply_within(connection, batch, source, await self.digests(batch))
        except Exception as error:
            if not is_of_event(error):
                raise
        else:
            return
        report(await self._bring_apart(connection, batch, source))

    async def drain(self, view: str, ids: Collection[UUID], reader: RecordReader, mapper: Decoder) -> int:
        """Show what was held back of these records, in order; how many of them wait no more.

        A record with an event that still cannot be digested is parked at that one.
        """
        with unavailable_on_outage():
            async with self.pool.connection() as connection, connection.transaction():
                # No batch is under way, so what the log holds of the records now is all that was held back.
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", [SWITCH_LOCK])
                if view not in await self._writable(connection):
                    return 0
                released = await release(connection, view + self.suffix, ids)
                stored = await reader.between([(id, 0, VERSION_MAX) for id in released])
                events = [mapper.to_domain_event(it) for it in stored]
                letters = await self._isolate(connection, view, events) if events else []
        report(letters)
        return len(released) - len(letters)

    async def _apply_plainly(self, batch: Sequence[Recorded], source: str) -> None:
        _raise_undecoded(batch)
        digests = await self.digests(batch)
        with unavailable_on_outage():
            # In a pipeline PostgreSQL stores one table while the next one's rows are made.
            async with (
                self.pool.connection() as connection,
                connection.pipeline(),
                connection.transaction(),
            ):
                await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SWITCH_LOCK])
                await self.apply_within(connection, batch, source, digests)

    async def _apply_apart(self, batch: Sequence[Recorded], source: str) -> None:
        with unavailable_on_outage():
            async with self.pool.connection() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SWITCH_LOCK])
                letters = await self._bring_apart(connection, batch, source)
        report(letters)

    async def _bring_apart(
        self, connection: AsyncConnection[Any], batch: Sequence[Recorded], source: str
    ) -> list[Parked]:
        """View by view: one stumbles over what does not concern another."""
        views = await self._writable(connection)
        held = await self._held(connection, views, batch)
        letters: list[Parked] = []
        for view in views:
            events = [it for it in batch if (view + self.suffix, it.originator_id) not in held]
            if events:
                letters += await self._isolate(connection, view, events)
        await self._end(connection, views, batch, source)
        return letters

    async def _isolate(
        self, connection: AsyncConnection[Any], view: str, events: Sequence[Recorded]
    ) -> list[Parked]:
        """Show the events, and park those records of which one cannot be digested."""
        faults = {it.position: it.error for it in events if isinstance(it, Undecoded)}
        digests: Mapping[Sealed, bytes] = {}
        if view == "directory":
            digests, broken = await self._digests.apart([it for it in events if it.position not in faults])
            faults |= broken
        passed = await skips(connection, view + self.suffix, {it.originator_id for it in events})
        if self.suffix:
            passed |= await skips(connection, view, {it.originator_id for it in events})
        given = Given(digests, faults=faults, passed=passed)
        return await Apart(connection, view + self.suffix, given, self._shower(connection, view)).show(events)

    def _shower(self, connection: AsyncConnection[Any], view: str) -> Shower:
        async def show(events: Sequence[Recorded], given: Given) -> None:
            await self.showing.show(connection, [view], events, given)

        async def pass_over(event: Recorded) -> None:
            await self.showing.pass_over(connection, view, event)

        return Shower(show, pass_over)

    async def _end(
        self, connection: AsyncConnection[Any], views: Sequence[str], batch: Sequence[Recorded], source: str
    ) -> None:
        if "directory" in views:
            await self.showing.blind_rows.purge(connection, batch)
        await self._track(connection, views, source, max(it.position for it in batch))

    async def _writable(self, connection: AsyncConnection[Any]) -> Sequence[str]:
        """What lies beside the live views is in our form; of the live ones, those that are."""
        return self.views if self.suffix else await self.standings.writable(connection, self.views)

    async def _held(
        self, connection: AsyncConnection[Any], views: Sequence[str], batch: Sequence[Recorded]
    ) -> set[tuple[str, UUID]]:
        ids = [it.event.originator_id for it in batch]
        return await parked(connection, [view + self.suffix for view in views], ids)

    async def digests(self, batch: Sequence[Recorded]) -> Mapping[Sealed, bytes]:
        """The blind index digests of the contact details that the batch brings, erased ones left out."""
        return await self._digests.of(batch) if "directory" in self.views else {}

    async def _track(
        self, connection: AsyncConnection[Any], views: Sequence[str], source: str, position: int
    ) -> None:
        await connection.execute(
            "INSERT INTO views.tracking AS live (view, source, position) "
            "SELECT it, %s, %s FROM unnest(%s::text[]) AS it ORDER BY it "
            "ON CONFLICT (view, source) DO UPDATE SET position = greatest(live.position, excluded.position)",
            [source, position, list(views)],
        )


def _raise_undecoded(batch: Sequence[Recorded]) -> None:
    for recorded in batch:
        if isinstance(recorded, Undecoded):
            raise recorded.error
