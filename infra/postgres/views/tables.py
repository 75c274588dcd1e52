"""The tables of the views, and how whole batches of rows are read from and written to them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor, sql

from infra import arrays
from infra.postgres.views.codec import RowCodec, codec
from infra.postgres.views.columns import unnested
from projections import directory, pipeline, privacy, rights, subscribers, tickets
from projections.directory import CustomerRow, ErasureRow, MemberRow
from projections.model import Recorded, Row
from projections.pipeline import LeadRow
from projections.privacy import PrivacyRequestRow
from projections.rights import ActivityRow, ConsentRow, HoldRow, RestrictionRow, RetentionRow, StaffRow
from projections.subscribers import SubscriberRow
from projections.tickets import TicketRow

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Table(Generic[R]):
    """The rows of one kind of aggregate in one view: `view` is the schema, `aggregate` the kind."""

    view: str
    name: str
    aggregate: str
    kind: type[R]
    project: Callable[[Any, Recorded], None]

    @property
    def codec(self) -> RowCodec[R]:
        return codec(self.kind)

    def identifier(self, suffix: str = "") -> sql.Identifier:
        """The table's qualified name; `suffix` names the schema beside the live one."""
        return sql.Identifier(self.view + suffix, self.name)

    def selection(self) -> sql.Composed:
        """The columns, for the rows to be decoded."""
        return sql.SQL(", ").join(
            # Documents as text: the codec reads them straight into what they are made of.
            sql.SQL("{}::text").format(name) if column.is_document else name
            for column in self.codec.columns
            for name in [sql.Identifier("it", column.name)]
        )


CUSTOMERS = Table("directory", "customers", "customer", CustomerRow, directory.project)
MEMBERS = Table("directory", "members", "member", MemberRow, directory.project)
ERASURES = Table("directory", "erasures", "erasure", ErasureRow, directory.project)
LEADS = Table("pipeline", "leads", "lead", LeadRow, pipeline.project)
TICKETS = Table("tickets", "tickets", "ticket", TicketRow, tickets.project)
PRIVACY_REQUESTS = Table("privacy", "requests", "privacyrequest", PrivacyRequestRow, privacy.project)
RESTRICTIONS = Table("rights", "restrictions", "restriction", RestrictionRow, rights.project)
HOLDS = Table("rights", "holds", "hold", HoldRow, rights.project)
CONSENTS = Table("rights", "consents", "consent", ConsentRow, rights.project)
ACTIVITIES = Table("rights", "activities", "activity", ActivityRow, rights.project)
POLICIES = Table("rights", "policies", "retention", RetentionRow, rights.project)

STAFF = Table("rights", "staff", "member", StaffRow, rights.project)

SUBSCRIBERS = Table("rights", "subscribers", "subscriber", SubscriberRow, subscribers.project)

RIGHTS: tuple[Table[Any], ...] = (
    RESTRICTIONS, HOLDS, CONSENTS, ACTIVITIES, POLICIES, STAFF, SUBSCRIBERS
)  # fmt: skip
TABLES: tuple[Table[Any], ...] = (
    CUSTOMERS, MEMBERS, ERASURES, LEADS, TICKETS, PRIVACY_REQUESTS, *RIGHTS
)  # fmt: skip
VIEWS = ("directory", "pipeline", "privacy", "rights", "tickets", "timeline")
"""The views that have rows of their own, by schema."""


@dataclass(frozen=True, slots=True)
class Loading(Generic[R]):
    """Rows that were asked for. In a pipeline more can be asked for before they come."""

    table: Table[R]
    cursor: AsyncCursor[Any]

    async def rows(self) -> dict[UUID, R]:
        """Those of them that exist, by id."""
        return {row.id: row for row in map(self.table.codec.decode, await self.cursor.fetchall())}


async def begin_loading(
    connection: AsyncConnection[Any], table: Table[R], ids: Collection[UUID], *, suffix: str = ""
) -> Loading[R]:
    """Ask for the rows of these ids."""
    query = _selection(table, suffix)
    return Loading(table, await connection.execute(query, [arrays.uuids(ids)], binary=True))


async def load_rows(
    connection: AsyncConnection[Any], table: Table[R], ids: Collection[UUID], *, suffix: str = ""
) -> dict[UUID, R]:
    """Those of the rows that exist, by id."""
    return await (await begin_loading(connection, table, ids, suffix=suffix)).rows()


async def save_rows(
    connection: AsyncConnection[Any], table: Table[R], rows: Sequence[R], *, suffix: str = ""
) -> "Saving":
    """Write the rows that are newer than what is there.

    In one order everywhere, so that two writers never wait for each other in a circle.
    """
    literals = table.codec.encode(sorted(rows, key=_id))
    return Saving(await connection.execute(_upsert(table, suffix), literals, binary=True))


@dataclass(frozen=True, slots=True)
class Saving:
    """Rows on their way. In a pipeline nobody need wait for them."""

    cursor: AsyncCursor[Any]

    async def written(self) -> set[UUID]:
        """The ids of those that were newer than what was there."""
        return {record[0] for record in await self.cursor.fetchall()}


@cache
def _selection(table: Table[Any], suffix: str) -> bytes:
    query = sql.SQL("SELECT {} FROM {} AS it WHERE it.id = ANY (%s)")
    return query.format(table.selection(), table.identifier(suffix)).as_bytes()


@cache
def _upsert(table: Table[Any], suffix: str) -> bytes:
    names = [sql.Identifier(column.name) for column in table.codec.columns]
    return (
        sql.SQL(
            "INSERT INTO {table} AS live ({names}) {given} "
            "ON CONFLICT (id) DO UPDATE SET {assignments} WHERE live.version < excluded.version RETURNING id"
        )
        .format(
            table=table.identifier(suffix),
            names=sql.SQL(", ").join(names),
            given=unnested(table.codec.columns),
            assignments=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(it) for it in names[1:]),
        )
        .as_bytes()
    )


def by_aggregate(tables: Collection[Table[Any]]) -> Mapping[str, tuple[Table[Any], ...]]:
    """Which tables show the events of each kind of aggregate."""
    kinds = {table.aggregate for table in tables}
    return {kind: tuple(table for table in tables if table.aggregate == kind) for kind in kinds}


def _id(row: Row) -> int:
    return row.id.int
