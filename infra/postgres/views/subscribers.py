"""Reads subscribers from PostgreSQL."""

from collections.abc import Collection, Mapping
from uuid import UUID

from psycopg import sql

from infra.postgres.database import Pool
from infra.postgres.views.query import Conditions, RowReader, fetch
from infra.postgres.views.tables import ERASURES, SUBSCRIBERS
from projections.subscribers import SubscriberFilter, SubscriberRow


class PostgresSubscribers:
    """Implements `projections.subscribers.Subscribers`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._subscribers = RowReader(pool, SUBSCRIBERS)

    async def subscriber(self, id: UUID) -> SubscriberRow | None:
        return await self._subscribers.one(id)

    async def list_subscribers(
        self, where: SubscriberFilter, *, limit: int, after: UUID | None = None
    ) -> list[SubscriberRow]:
        conditions: Conditions = [
            (sql.SQL("it.name = %s"), where.name),
            (sql.SQL("(it.ended_at IS NULL) = %s"), where.living),
        ]
        return await self._subscribers.page(conditions, limit=limit, after=after)

    async def unacknowledged(self, subscriber: SubscriberRow, *, limit: int) -> list[UUID]:
        query = sql.SQL(
            "SELECT id FROM {} WHERE erased_at >= %s AND NOT acknowledged_by @> ARRAY[%s]"
            " ORDER BY erased_at, id LIMIT %s"
        ).format(ERASURES.identifier())
        given = [subscriber.registered_at, subscriber.name, limit]
        return [id for (id,) in await fetch(self._pool, query, given)]

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        query = sql.SQL("SELECT id, name FROM {} WHERE id = ANY (%s)").format(SUBSCRIBERS.identifier())
        return dict(await fetch(self._pool, query, [list(ids)]))
