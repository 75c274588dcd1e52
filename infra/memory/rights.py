"""What people's rights ask for, in memory: the twin of the view in PostgreSQL."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar
from uuid import UUID

from projections.model import Row
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
    RightsRow,
    StaffFilter,
    StaffRow,
)

R = TypeVar("R", bound=Row)


class MemoryRights:
    """Implements `projections.rights.Rights` over the rows that `projections.rights.project` keeps."""

    def __init__(self) -> None:
        self.rows: dict[UUID, RightsRow] = {}

    async def restriction(self, id: UUID) -> RestrictionRow | None:
        return self._one(RestrictionRow, id)

    async def list_restrictions(
        self, where: RestrictionFilter, *, limit: int, after: UUID | None = None
    ) -> list[RestrictionRow]:
        def passes(row: RestrictionRow) -> bool:
            return _is(where.standing, row.lifted_at is None) and _is(where.cause, row.cause)

        return self._page(RestrictionRow, passes, limit, after)

    async def hold(self, id: UUID) -> HoldRow | None:
        return self._one(HoldRow, id)

    async def list_holds(self, where: HoldFilter, *, limit: int, after: UUID | None = None) -> list[HoldRow]:
        def passes(row: HoldRow) -> bool:
            return (
                _is(where.standing, row.lifted_at is None)
                and _is(where.matter, row.matter)
                and (where.covers is None or where.covers in row.covered)
            )

        return self._page(HoldRow, passes, limit, after)

    async def consent(self, id: UUID) -> ConsentRow | None:
        return self._one(ConsentRow, id)

    async def list_consents(
        self, where: ConsentFilter, *, limit: int, after: UUID | None = None
    ) -> list[ConsentRow]:
        def passes(row: ConsentRow) -> bool:
            over = row.expires_on is not None and where.over_on is not None and row.expires_on < where.over_on
            return (
                _is(where.subject_id, row.subject_id)
                and _is(where.purpose, row.purpose)
                and _is(where.channel, row.channel)
                and _is(where.state, row.state)
                and (where.over_on is None or over)
            )

        return self._page(ConsentRow, passes, limit, after)

    async def activity(self, id: UUID) -> ActivityRow | None:
        return self._one(ActivityRow, id)

    async def list_activities(
        self, where: ActivityFilter, *, limit: int, after: UUID | None = None
    ) -> list[ActivityRow]:
        def passes(row: ActivityRow) -> bool:
            return _is(where.code, row.code) and _is(where.living, row.retired_at is None)

        return self._page(ActivityRow, passes, limit, after)

    async def policy(self, id: UUID) -> RetentionRow | None:
        return self._one(RetentionRow, id)

    async def list_policies(
        self, where: RetentionFilter, *, limit: int, after: UUID | None = None
    ) -> list[RetentionRow]:
        def passes(row: RetentionRow) -> bool:
            return (
                _is(where.kind, row.kind)
                and _is(where.category, row.category)
                and _is(where.living, row.withdrawn_at is None)
            )

        return self._page(RetentionRow, passes, limit, after)

    async def list_staff(
        self, where: StaffFilter, *, limit: int, after: UUID | None = None
    ) -> list[StaffRow]:
        def passes(row: StaffRow) -> bool:
            over = row.expires_first is not None and where.over_on is not None
            return _is(where.present, row.left_at is None) and (
                where.over_on is None or (over and row.expires_first < where.over_on)  # type: ignore[operator]
            )

        return self._page(StaffRow, passes, limit, after)

    def _one(self, kind: type[R], id: UUID) -> R | None:
        row = self.rows.get(id)
        return deepcopy(row) if isinstance(row, kind) else None

    def _page(self, kind: type[R], passes: Callable[[R], bool], limit: int, after: UUID | None) -> list[R]:
        rows: list[R] = [row for row in self.rows.values() if isinstance(row, kind) and passes(row)]
        above = [row for row in rows if after is None or row.id > after]
        return deepcopy(sorted(above, key=lambda row: row.id)[:limit])


def _is(wanted: Any, found: Any) -> bool:
    return wanted is None or wanted == found
