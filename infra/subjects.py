"""What is held about a data subject, and how far their erasure has come: pseudonyms and states, no values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.model import Category
from projections.directory import Directory, ErasureRow
from projections.timeline import SubjectRecord, TimelineIndex
from services.ports import KeyRing, KeyState


class KnowingKeyRing(KeyRing, Protocol):
    """A key ring that also tells whether it ever heard of a subject."""

    async def knows(self, subject_id: UUID) -> bool: ...


@dataclass(frozen=True, slots=True)
class SubjectView:
    """A data subject: erased or not, the state of each category's key, the records, the erasures."""

    subject_id: UUID
    erased: bool
    keys: Mapping[Category, KeyState]
    records: Sequence[SubjectRecord]
    erasures: Sequence[ErasureRow]


class Subjects:
    """Implements `services.erasures.SubjectRegister`, and answers for `GET /v1/subjects/{id}`.

    Keys and the erased flag come from the key ring as they are now; records and erasures from the views.
    """

    def __init__(self, ring: KnowingKeyRing, timeline: TimelineIndex, directory: Directory) -> None:
        self._ring = ring
        self._timeline = timeline
        self._directory = directory

    async def knows(self, subject_id: UUID) -> bool:
        """A subject without personal data has no key: then the records tell."""
        return await self._ring.knows(subject_id) or bool(await self._timeline.records(subject_id))

    async def view(self, subject_id: UUID) -> SubjectView | None:
        """None where nothing was ever recorded of the subject."""
        if not await self.knows(subject_id):
            return None
        return SubjectView(
            subject_id=subject_id,
            erased=subject_id in await self._ring.erased([subject_id]),
            keys=await self._ring.states(subject_id),
            records=await self._timeline.records(subject_id),
            erasures=await self._directory.erasures_of(subject_id),
        )
