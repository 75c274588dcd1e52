"""Reads the directory from PostgreSQL."""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.blind import purpose
from infra.postgres.views.query import Conditions, RowReader, either, fetch
from infra.postgres.views.tables import CUSTOMERS, ERASURES, MEMBERS
from projections.directory import (
    ContactDetail,
    CustomerFilter,
    CustomerRow,
    ErasureRow,
    Found,
    MemberFilter,
    MemberRow,
    canonical,
)
from projections.model import Headed, Heads
from services.ports import BlindIndex


class PostgresDirectory:
    """Implements `projections.directory.Directory`."""

    def __init__(self, pool: Pool, blind: BlindIndex) -> None:
        self.pool = pool
        self.blind = blind
        self._customers = RowReader(pool, CUSTOMERS, member="owner_id")
        self._members = RowReader(pool, MEMBERS)
        self._erasures = RowReader(pool, ERASURES)

    async def customer(self, id: UUID) -> CustomerRow | None:
        return await self._customers.one(id)

    async def customers(self, ids: Sequence[UUID]) -> list[CustomerRow]:
        return await self._customers.many(ids)

    async def list_customers(
        self, where: CustomerFilter, *, limit: int, after: UUID | None = None
    ) -> list[CustomerRow]:
        return await self._customers.page(customer_conditions(where), limit=limit, after=after)

    async def customer_heads(self, where: CustomerFilter, *, limit: int, after: UUID | None = None) -> Heads:
        return await self._customers.heads(customer_conditions(where), limit=limit, after=after)

    async def headed_customers(self, ids: Sequence[UUID]) -> list[Headed[CustomerRow]]:
        return await self._customers.headed(ids)

    async def customers_of(self, subject_ids: Collection[UUID]) -> list[CustomerRow]:
        query = sql.SQL("SELECT {} FROM {} AS it WHERE it.subject_id = ANY (%s) ORDER BY it.id").format(
            CUSTOMERS.selection(), CUSTOMERS.identifier()
        )
        records = await fetch(self.pool, query, [list(subject_ids)])
        return [CUSTOMERS.codec.decode(record) for record in records]

    async def member(self, id: UUID) -> MemberRow | None:
        return await self._members.one(id)

    async def members(self, ids: Sequence[UUID]) -> list[MemberRow]:
        return await self._members.many(ids)

    async def list_members(
        self, where: MemberFilter, *, limit: int, after: UUID | None = None
    ) -> list[MemberRow]:
        conditions: Conditions = [
            (sql.SQL("it.team = %s"), where.team),
            (sql.SQL("it.office = %s"), where.office),
            (sql.SQL("(it.left_at IS NULL) = %s"), where.present),
        ]
        return await self._members.page(conditions, limit=limit, after=after)

    async def lookup(self, detail: ContactDetail, value: str) -> list[Found]:
        digest = self.blind.digest(purpose(detail), canonical(detail, value))
        query = sql.SQL(
            "SELECT subject_id, record_id FROM directory.blind_index WHERE kind = %s AND digest = %s "
            "ORDER BY record_id, subject_id"
        )
        return [Found(*record) for record in await fetch(self.pool, query, [detail, digest])]

    async def erasure(self, id: UUID) -> ErasureRow | None:
        return await self._erasures.one(id)

    async def erasures_of(self, subject_id: UUID) -> list[ErasureRow]:
        query = sql.SQL(
            "SELECT {} FROM {} AS it WHERE it.erased_subject_id = %s ORDER BY it.position"
        ).format(ERASURES.selection(), ERASURES.identifier())
        return [ERASURES.codec.decode(record) for record in await fetch(self.pool, query, [subject_id])]

    async def erased(self, subject_ids: Collection[UUID]) -> AbstractSet[UUID]:
        query = sql.SQL(
            "SELECT erased_subject_id FROM directory.erasures "
            "WHERE erased_subject_id = ANY (%s) AND erased_at IS NOT NULL AND categories = '{}'"
        )
        return {record[0] for record in await fetch(self.pool, query, [list(subject_ids)])}


def customer_conditions(where: CustomerFilter) -> Conditions:
    """What the filter asks of a row of `directory.customers`."""
    return [
        (sql.SQL("it.kind = %s"), where.kind),
        (sql.SQL("it.owner_id = %s"), where.owner_id),
        (sql.SQL("it.country = %s"), where.country),
        (sql.SQL("it.sector = %s"), where.sector),
        (sql.SQL("it.segment = %s"), where.segment),
        (sql.SQL("it.tags @> ARRAY[%s]"), where.tag),
        *either(sql.SQL("it.archived"), where.archived),
    ]
