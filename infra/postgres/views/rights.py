"""Reads from PostgreSQL what people's rights ask for."""

from uuid import UUID

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.query import Conditions, RowReader
from infra.postgres.views.tables import ACTIVITIES, CONSENTS, HOLDS, POLICIES, RESTRICTIONS, STAFF
from projections.rights import (
    ActivityFilter,
    ActivityRow,
    ConsentFilter,
    ConsentRow,
    HoldFilter,
    HoldRow,
    RestrictionFilter,
    RestrictionRow,
    RetentionFilter,
    RetentionRow,
    StaffFilter,
    StaffRow,
)


class PostgresRights:
    """Implements `projections.rights.Rights`."""

    def __init__(self, pool: Pool) -> None:
        self._restrictions = RowReader(pool, RESTRICTIONS)
        self._holds = RowReader(pool, HOLDS)
        self._consents = RowReader(pool, CONSENTS)
        self._activities = RowReader(pool, ACTIVITIES)
        self._policies = RowReader(pool, POLICIES)
        self._staff = RowReader(pool, STAFF)

    async def restriction(self, id: UUID) -> RestrictionRow | None:
        return await self._restrictions.one(id)

    async def list_restrictions(
        self, where: RestrictionFilter, *, limit: int, after: UUID | None = None
    ) -> list[RestrictionRow]:
        conditions: Conditions = [
            (sql.SQL("(it.lifted_at IS NULL) = %s"), where.standing),
            (sql.SQL("it.cause = %s"), where.cause),
        ]
        return await self._restrictions.page(conditions, limit=limit, after=after)

    async def hold(self, id: UUID) -> HoldRow | None:
        return await self._holds.one(id)

    async def list_holds(self, where: HoldFilter, *, limit: int, after: UUID | None = None) -> list[HoldRow]:
        covers = None if where.covers is None else [[where.covers]]
        conditions: Conditions = [
            (sql.SQL("(it.lifted_at IS NULL) = %s"), where.standing),
            (sql.SQL("it.matter = %s"), where.matter),
            (sql.SQL("it.covered @> %s"), covers),
        ]
        return await self._holds.page(conditions, limit=limit, after=after)

    async def consent(self, id: UUID) -> ConsentRow | None:
        return await self._consents.one(id)

    async def list_consents(
        self, where: ConsentFilter, *, limit: int, after: UUID | None = None
    ) -> list[ConsentRow]:
        conditions: Conditions = [
            (sql.SQL("it.subject_id = %s"), where.subject_id),
            (sql.SQL("it.purpose = %s"), where.purpose),
            (sql.SQL("it.channel = %s"), where.channel),
            (sql.SQL("it.state = %s"), where.state),
            (sql.SQL("it.expires_on < %s"), where.over_on),
        ]
        return await self._consents.page(conditions, limit=limit, after=after)

    async def activity(self, id: UUID) -> ActivityRow | None:
        return await self._activities.one(id)

    async def list_activities(
        self, where: ActivityFilter, *, limit: int, after: UUID | None = None
    ) -> list[ActivityRow]:
        conditions: Conditions = [
            (sql.SQL("it.code = %s"), where.code),
            (sql.SQL("(it.retired_at IS NULL) = %s"), where.living),
        ]
        return await self._activities.page(conditions, limit=limit, after=after)

    async def policy(self, id: UUID) -> RetentionRow | None:
        return await self._policies.one(id)

    async def list_policies(
        self, where: RetentionFilter, *, limit: int, after: UUID | None = None
    ) -> list[RetentionRow]:
        conditions: Conditions = [
            (sql.SQL("it.kind = %s"), where.kind),
            (sql.SQL("it.category = %s"), where.category),
            (sql.SQL("(it.withdrawn_at IS NULL) = %s"), where.living),
        ]
        return await self._policies.page(conditions, limit=limit, after=after)

    async def list_staff(
        self, where: StaffFilter, *, limit: int, after: UUID | None = None
    ) -> list[StaffRow]:
        conditions: Conditions = [
            (sql.SQL("(it.left_at IS NULL) = %s"), where.present),
            (sql.SQL("it.expires_first < %s"), where.over_on),
        ]
        return await self._staff.page(conditions, limit=limit, after=after)
