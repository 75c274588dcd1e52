"""Moves all views on by a batch of events: rows, timeline, blind index and tracking in one transaction.

Where an event cannot be digested, the batch is done again in parts, down to that event: its record is parked.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, get_type_hints
from uuid import UUID

from psycopg import AsyncConnection, sql

from domain.erasure.events import SubjectErased
from domain.model import Category, Sealed
from infra.deadletters import RecordReader
from infra.outage import is_of_event, unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.apart import Apart, Given, Shower, report
from infra.postgres.views.columns import column, unnested
from infra.postgres.views.letters import Parked, parked, release, skips
from infra.postgres.views.standing import Standings
from infra.postgres.views.tables import TABLES, VIEWS, Table, by_aggregate, load_rows, save_rows
from infra.undecoded import Decoder, Undecoded
from projections.directory import ContactDetail, DirectoryRow, canonical, contact_details
from projections.model import Row, advance
from projections.timeline import Entry, entry, kind_of
from services.ports import BlindIndex, KeyLost, Recorded, Tampered, Unsealer

SWITCH_LOCK = 0x6C657468650002
"""Shared by every batch; a rebuild takes it alone for the moment in which it switches views."""

VERSION_MAX = 2**63 - 1

ENTRY_COLUMNS = tuple(column(name, hint) for name, hint in get_type_hints(Entry).items())
Detail = tuple[UUID, UUID, ContactDetail]
"""Record, subject, and which detail: the key of a blind index row."""


class VersionGap(Exception):
    """A record's event came before an earlier one of the same record: the source broke its promise."""


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
        self.unsealer = unsealer
        self.blind = blind
        self.views = tuple(views)
        self.suffix = suffix
        self.standings = standings or Standings()
        self._tables = by_aggregate([table for table in tables if table.view in views])

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
        await self._show(connection, views, batch, Given(digests, held=held))
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
            digests, broken = await self._digests_apart([it for it in events if it.position not in faults])
            faults |= broken
        passed = await skips(connection, view + self.suffix, {it.originator_id for it in events})
        if self.suffix:
            passed |= await skips(connection, view, {it.originator_id for it in events})
        given = Given(digests, faults=faults, passed=passed)
        return await Apart(connection, view + self.suffix, given, self._shower(connection, view)).show(events)

    def _shower(self, connection: AsyncConnection[Any], view: str) -> Shower:
        async def show(events: Sequence[Recorded], given: Given) -> None:
            await self._show(connection, [view], events, given)

        async def pass_over(event: Recorded) -> None:
            await self._pass_over(connection, view, event)

        return Shower(show, pass_over)

    async def _pass_over(self, connection: AsyncConnection[Any], view: str, recorded: Recorded) -> None:
        """Move the record's rows past the event, and change nothing else of them."""
        for table in self._tables.get(kind_of(recorded.event.TOPIC), ()):
            if table.view == view:
                rows = await load_rows(connection, table, [recorded.originator_id], suffix=self.suffix)
                if (row := advance(rows, recorded)) is not None:
                    await save_rows(connection, table, [row], suffix=self.suffix)

    async def _show(
        self,
        connection: AsyncConnection[Any],
        views: Collection[str],
        batch: Sequence[Recorded],
        given: Given,
    ) -> None:
        for table, events in self._parted(batch).items():
            if table.view in views:
                shown = self._not_held(table.view, events, given)
                await self._move(connection, table, shown, given)
        if "timeline" in views:
            await self._enter(connection, self._not_held("timeline", batch, given), given)

    def _not_held(self, view: str, events: Sequence[Recorded], given: Given) -> Sequence[Recorded]:
        if not given.held:
            return events
        return [it for it in events if (view + self.suffix, it.originator_id) not in given.held]

    async def _end(
        self, connection: AsyncConnection[Any], views: Sequence[str], batch: Sequence[Recorded], source: str
    ) -> None:
        if "directory" in views:
            await self._purge(connection, batch)
        await self._track(connection, views, source, max(it.position for it in batch))

    async def _purge(self, connection: AsyncConnection[Any], batch: Sequence[Recorded]) -> None:
        """Take the erased out of the blind index, whether or not a view shows their erasure."""
        erased = [
            it.event.erased_subject_id
            for it in batch
            if isinstance(it.event, SubjectErased) and it.event.covers(Category.CONTACT)
        ]
        if erased:
            await connection.execute(
                sql.SQL("DELETE FROM {} WHERE subject_id = ANY (%s)").format(self._blind_index), [erased]
            )

    async def _writable(self, connection: AsyncConnection[Any]) -> Sequence[str]:
        """What lies beside the live views is in our form; of the live ones, those that are."""
        return self.views if self.suffix else await self.standings.writable(connection, self.views)

    async def _held(
        self, connection: AsyncConnection[Any], views: Sequence[str], batch: Sequence[Recorded]
    ) -> set[tuple[str, UUID]]:
        ids = {it.originator_id for it in batch}
        return await parked(connection, [view + self.suffix for view in views], ids)

    def _parted(self, batch: Sequence[Recorded]) -> Mapping[Table[Any], list[Recorded]]:
        """The events by the tables that show them. In one order, as the locks are taken in it."""
        parts: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in batch:
            parts[kind_of(recorded.event.TOPIC)].append(recorded)
        return {table: parts[kind] for kind in sorted(parts) for table in self._tables.get(kind, ())}

    async def _move(
        self,
        connection: AsyncConnection[Any],
        table: Table[Any],
        events: Sequence[Recorded],
        given: Given,
    ) -> None:
        if not events:
            return
        given.check(events)
        ids = {recorded.originator_id for recorded in events}
        rows: dict[UUID, Row] = await load_rows(connection, table, ids, suffix=self.suffix)
        versions = {id: row.version for id, row in rows.items()}
        before = _findable(rows.values()) if table.view == "directory" else {}
        for recorded in events:
            check_gap(rows, recorded)
            table.project(rows, recorded)
        changed = [row for id, row in rows.items() if row.version != versions.get(id)]
        if not changed:
            return
        saving = await save_rows(connection, table, changed, suffix=self.suffix)
        if table.view == "directory":
            written = await saving.written()
            after = _findable(row for row in changed if row.id in written)
            before = {key: value for key, value in before.items() if key[0] in written}
            await self._index(connection, before, after, given.digests)

    async def digests(self, batch: Sequence[Recorded]) -> Mapping[Sealed, bytes]:
        """The blind index digests of the contact details that the batch brings, erased ones left out."""
        return await self._digested(_details(batch)) if "directory" in self.views else {}

    async def _digests_apart(
        self, batch: Sequence[Recorded]
    ) -> tuple[Mapping[Sealed, bytes], dict[int, Exception]]:
        """The same; and which events, by position, bring some that cannot be opened."""
        try:
            return await self._digested(_details(batch)), {}
        except (KeyLost, Tampered) as error:
            if len(batch) == 1:
                return {}, {batch[0].position: error}
        middle = len(batch) // 2
        first, broken = await self._digests_apart(batch[:middle])
        rest, broken_too = await self._digests_apart(batch[middle:])
        return {**first, **rest}, broken | broken_too

    async def _digested(self, handles: Mapping[Sealed, ContactDetail]) -> Mapping[Sealed, bytes]:
        opened = await self.unsealer.open(list(handles))
        return {
            handle: self.blind.digest(purpose(detail), canonical(detail, clear))
            for handle, detail in handles.items()
            if isinstance(clear := opened[handle], str)
        }

    async def _index(
        self,
        connection: AsyncConnection[Any],
        before: Mapping[Detail, Sealed],
        after: Mapping[Detail, Sealed],
        digests: Mapping[Sealed, bytes],
    ) -> None:
        gone = [key for key, handle in before.items() if after.get(key) != handle]
        if gone:
            await connection.execute(
                sql.SQL(
                    "DELETE FROM {} AS live "
                    "USING unnest(%s::uuid[], %s::uuid[], %s::text[]) AS gone (r, s, k) "
                    "WHERE live.record_id = gone.r AND live.subject_id = gone.s AND live.kind = gone.k"
                ).format(self._blind_index),
                [list(it) for it in zip(*gone, strict=True)],
            )
        new = [(*key, digests[it]) for key, it in after.items() if before.get(key) != it and it in digests]
        if new:
            await connection.execute(
                sql.SQL(
                    "INSERT INTO {} AS live (record_id, subject_id, kind, digest) "
                    "SELECT new.* FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::bytea[]) "
                    "AS new (record_id, subject_id, kind, digest) "
                    # Holds off an erasure until this transaction ends, so that no row outlives its purge.
                    "JOIN keys.hold_living(%s::uuid[], %s) AS living ON living.subject_id = new.subject_id "
                    "ON CONFLICT (record_id, subject_id, kind) DO UPDATE SET digest = excluded.digest"
                ).format(self._blind_index),
                [
                    *(list(it) for it in zip(*new, strict=True)),
                    list({key[1] for key in new}),
                    Category.CONTACT,
                ],
            )

    async def _enter(self, connection: AsyncConnection[Any], batch: Sequence[Recorded], given: Given) -> None:
        if not batch:
            return
        given.check(batch)
        entries = [entry(recorded) for recorded in batch]
        literals = [it.literal(map(attrgetter(it.name), entries)) for it in ENTRY_COLUMNS]
        await connection.execute(_entering(self.suffix), literals)

    async def _track(
        self, connection: AsyncConnection[Any], views: Sequence[str], source: str, position: int
    ) -> None:
        await connection.execute(
            "INSERT INTO views.tracking AS live (view, source, position) "
            "SELECT it, %s, %s FROM unnest(%s::text[]) AS it ORDER BY it "
            "ON CONFLICT (view, source) DO UPDATE SET position = greatest(live.position, excluded.position)",
            [source, position, list(views)],
        )

    @property
    def _blind_index(self) -> sql.Identifier:
        return sql.Identifier("directory" + self.suffix, "blind_index")


@cache
def _entering(suffix: str) -> bytes:
    query = sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT DO NOTHING").format(
        sql.Identifier("timeline" + suffix, "entries"),
        sql.SQL(", ").join(sql.Identifier(it.name) for it in ENTRY_COLUMNS),
        unnested(ENTRY_COLUMNS),
    )
    return query.as_bytes()


def _details(batch: Sequence[Recorded]) -> dict[Sealed, ContactDetail]:
    return {
        handle: detail
        for recorded in batch
        if kind_of(recorded.event.TOPIC) in ("customer", "member")
        for detail in ContactDetail
        if isinstance(handle := getattr(recorded.event, detail, None), Sealed)
    }


def _raise_undecoded(batch: Sequence[Recorded]) -> None:
    for recorded in batch:
        if isinstance(recorded, Undecoded):
            raise recorded.error


def purpose(detail: ContactDetail) -> str:
    """What a contact detail's digest is for: part of what is digested, so never to be changed."""
    return f"directory.{detail}"


def check_gap(rows: Mapping[UUID, Row], recorded: Recorded) -> None:
    """Raise `VersionGap` if an event of the record is missing between its row and this event."""
    row = rows.get(recorded.originator_id)
    if row is not None and recorded.originator_version > row.version + 1:
        raise VersionGap(f"{recorded.originator_id}: {row.version}, then {recorded.originator_version}")


def _findable(rows: Iterable[Any]) -> dict[Detail, Sealed]:
    found: dict[Detail, Sealed] = {}
    row: DirectoryRow
    for row in rows:
        for (subject_id, detail), handle in contact_details(row).items():
            if isinstance(handle, Sealed):
                found[row.id, subject_id, detail] = handle
    return found
