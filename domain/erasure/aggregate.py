"""What may happen to the erasure of a person."""

from collections.abc import Collection
from typing import Self
from uuid import UUID

from domain.erasure.events import ErasureRequested, SubjectErased
from domain.model import Aggregate, Event
from domain.values import ErasureGround


class Erasure(Aggregate):
    """The erasure of one person, from the request until the keys are destroyed.

    Its own subject is the request itself: what is written about it (a reason) outlives the person's keys.
    """

    TOPIC = "erasure"

    @classmethod
    def request(cls, *, id: UUID, erased_subject_id: UUID, ground: ErasureGround) -> Self:
        return cls._create(ErasureRequested, id=id, erased_subject_id=erased_subject_id, ground=ground)

    def complete(self, *, fingerprints: Collection[str]) -> None:
        """The keys are destroyed. Completing again changes nothing: the saga may repeat its steps."""
        if not self.completed:
            self.trigger_event(
                SubjectErased,
                erased_subject_id=self.erased_subject_id,
                fingerprints=tuple(sorted(fingerprints)),
            )

    def evolve(self, event: Event) -> None:
        match event:
            case ErasureRequested():
                self.subject_id = event.originator_id
                self.erased_subject_id = event.erased_subject_id
                self.completed = False
            case SubjectErased():
                self.completed = True
