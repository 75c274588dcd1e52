"""The privacy requests in memory."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from uuid import UUID

from domain.privacyrequest.terms import RequestState
from projections.privacy import PrivacyFigures, PrivacyRequestFilter, PrivacyRequestRow


class MemoryPrivacyRequests:
    """Implements `projections.privacy.PrivacyRequests`."""

    def __init__(self) -> None:
        self.rows: dict[UUID, PrivacyRequestRow] = {}

    async def request(self, id: UUID) -> PrivacyRequestRow | None:
        return deepcopy(self.rows.get(id))

    async def requests(self, ids: Sequence[UUID]) -> list[PrivacyRequestRow]:
        return deepcopy([self.rows[id] for id in ids if id in self.rows])

    async def list_requests(
        self, where: PrivacyRequestFilter, *, at: datetime, limit: int, after: UUID | None = None
    ) -> list[PrivacyRequestRow]:
        def passes(row: PrivacyRequestRow) -> bool:
            return (
                where.kind in (None, row.kind)
                and where.state in (None, row.state)
                and where.subject_id in (None, row.subject_id)
                and (where.due_before is None or row.due_on < where.due_before)
                and where.overdue in (None, row.overdue(at))
                and where.erasing in (None, row.erasure_id is not None)
                and (after is None or row.id > after)
            )

        found = sorted(filter(passes, self.rows.values()), key=lambda row: row.id)
        return deepcopy(found[:limit])

    async def figures(self, *, at: datetime) -> PrivacyFigures:
        found = [row for row in self.rows.values() if row.state is RequestState.OPEN]
        return PrivacyFigures(len(found), sum(row.overdue(at) for row in found))
