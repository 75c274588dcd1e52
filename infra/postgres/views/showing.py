"""Shows events in views: loads the rows that they change, folds, and saves, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from domain.model import Sealed
from infra.postgres.views.apart import Given
from infra.postgres.views.blind import BlindRows, Detail, findable
from infra.postgres.views.entries import enter
from infra.postgres.views.tables import (
    Loading,
    Saving,
    Table,
    begin_loading,
    by_aggregate,
    load_rows,
    save_rows,
)
from projections.model import advance
from projections.timeline import kind_of
from services.ports import Recorded


class VersionGap(Exception):
    """A record's event came before an earlier one of the same record: the source broke its promise."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows of a table that have changed and are being saved; `before`: what they could be looked up by."""

    table: Table[Any]
    rows: Sequence[Any]
    before: Mapping[Detail, Sealed]
    saving: Saving


class Showing:
    """Moves these tables' rows on, and the timeline; `suffix` names the schemas beside the live ones."""

    def __init__(self, tables: Collection[Table[Any]], suffix: str) -> None:
        self.suffix = suffix
        self.blind_rows = BlindRows(suffix)
        self.tables = by_aggregate(tables)

    async def show(
        self,
        connection: AsyncConnection[Any],
        views: Collection[str],
        batch: Sequence[Recorded],
        given: Given,
    ) -> None:
        """Show the events in these views. Raises what cannot be digested.

        In a pipeline nothing is waited for but the rows: the database stores the entries while the next
        events are decoded, and one table's rows while the next one's are folded.
        """
        if "timeline" in views and (entered := self._not_held("timeline", batch, given)):
            given.check(entered)
            await enter(connection, entered, suffix=self.suffix)
        loading = []
        for table, of_kind in self._parted(batch).items():
            if table.view in views and (events := self._not_held(table.view, of_kind, given)):
                ids = {it.event.originator_id for it in events}
                loading.append((await begin_loading(connection, table, ids, suffix=self.suffix), events))
        moved = [await self._move(connection, asked, events, given) for asked, events in loading]
        for it in moved:
            if it is not None and it.table.view == "directory":
                await self._index(connection, it, given)

    async def pass_over(self, connection: AsyncConnection[Any], view: str, recorded: Recorded) -> None:
        """Move the record's rows past the event, and change nothing else of them."""
        for table in self.tables.get(kind_of(recorded.event.TOPIC), ()):
            if table.view == view:
                rows = await load_rows(connection, table, [recorded.originator_id], suffix=self.suffix)
                if (row := advance(rows, recorded)) is not None:
                    await save_rows(connection, table, [row], suffix=self.suffix)

    def _not_held(self, view: str, events: Sequence[Recorded], given: Given) -> Sequence[Recorded]:
        if not given.held:
            return events
        return [it for it in events if (view + self.suffix, it.originator_id) not in given.held]

    def _parted(self, batch: Sequence[Recorded]) -> Mapping[Table[Any], list[Recorded]]:
        """The events by the tables that show them. In one order, as the locks are taken in it."""
        parts: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in batch:
            parts[kind_of(recorded.event.TOPIC)].append(recorded)
        return {table: parts[kind] for kind in sorted(parts) for table in self.tables.get(kind, ())}

    async def _move(
        self,
        connection: AsyncConnection[Any],
        loading: Loading[Any],
        events: Sequence[Recorded],
        given: Given,
    ) -> Moved | None:
        given.check(events)
        table, rows = loading.table, await loading.rows()
        versions = {id: row.version for id, row in rows.items()}
        before = findable(rows.values()) if table.view == "directory" else {}
        for recorded in events:
            event = recorded.event
            row = rows.get(event.originator_id)
            if row is not None and event.originator_version > row.version + 1:
                raise VersionGap(f"{row.id}: {row.version}, then {event.originator_version}")
            table.project(rows, recorded)
        changed = [row for id, row in rows.items() if row.version != versions.get(id)]
        if not changed:
            return None
        return Moved(table, changed, before, await save_rows(connection, table, changed, suffix=self.suffix))

    async def _index(self, connection: AsyncConnection[Any], moved: Moved, given: Given) -> None:
        written = await moved.saving.written()
        after = findable(row for row in moved.rows if row.id in written)
        before = {key: value for key, value in moved.before.items() if key[0] in written}
        await self.blind_rows.move(connection, before, after, given.digests)
