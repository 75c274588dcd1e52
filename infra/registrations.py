"""How people are held as customers, read from the views."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Set
from typing import Protocol
from uuid import UUID

from projections.directory import CustomerRow
from services.lawfulness import Registration


class CustomersOfSubjects(Protocol):
    """Finds the customers that are these people themselves."""

    async def customers_of(self, subject_ids: Collection[UUID]) -> list[CustomerRow]: ...


class ViewedRegistrations:
    """Implements `services.lawfulness.Registrations`. Archived customers are not held for their purpose."""

    def __init__(self, directory: CustomersOfSubjects) -> None:
        self._directory = directory

    async def of(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Set[Registration]]:
        found: dict[UUID, set[Registration]] = defaultdict(set)
        for row in await self._directory.customers_of(subject_ids):
            if not row.archived:
                found[row.subject_id].add((row.lawful_basis, row.purpose))
        return found
