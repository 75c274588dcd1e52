"""What may happen to a legal hold."""

from collections.abc import Collection
from typing import Self
from uuid import UUID

from domain.hold.events import HoldLifted, HoldPlaced, SubjectCovered, SubjectReleased
from domain.model import Aggregate, DomainError, Event


class HoldWithoutMatter(DomainError):
    """A hold names its matter."""


class HoldIsLifted(DomainError):
    """A lifted hold covers nobody any more: place another."""


class SubjectWasReleased(DomainError):
    """Who was released from a hold is held again by another hold, never by the same one."""


class SubjectNotCovered(DomainError):
    """Only a person whom the hold covers can be released from it."""


class Hold(Aggregate):
    """A matter for whose sake nothing of certain people's is destroyed. It is its own data subject."""

    TOPIC = "hold"

    @classmethod
    def place(cls, *, id: UUID, matter: str, description: str | None = None) -> Self:
        if not matter.strip():
            raise HoldWithoutMatter(id)
        return cls._create(HoldPlaced, id=id, subject_id=id, matter=matter, description=description)

    def cover(self, *, subject_ids: Collection[UUID]) -> None:
        # A cover that came back after its release could be undone by a late repeat of that release.
        if not self.released.isdisjoint(subject_ids):
            raise SubjectWasReleased(self.id)
        new = [it for it in dict.fromkeys(subject_ids) if it not in self.covered]
        if new and self.lifted:
            raise HoldIsLifted(self.id)
        for subject_id in new:
            self.trigger_event(SubjectCovered, covered_subject_id=subject_id)

    def release(self, *, subject_ids: Collection[UUID]) -> None:
        if not (self.covered | self.released).issuperset(subject_ids):
            raise SubjectNotCovered(self.id)
        for subject_id in dict.fromkeys(subject_ids):
            if subject_id in self.covered:
                self.trigger_event(SubjectReleased, covered_subject_id=subject_id)

    def lift(self) -> None:
        if self.lifted:
            return
        for subject_id in sorted(self.covered):
            self.trigger_event(SubjectReleased, covered_subject_id=subject_id)
        self.trigger_event(HoldLifted)

    def evolve(self, event: Event) -> None:
        match event:
            case HoldPlaced():
                self.subject_id = event.subject_id
                self.covered: frozenset[UUID] = frozenset()
                self.released: frozenset[UUID] = frozenset()
                self.lifted = False
            case SubjectCovered():
                self.covered |= {event.covered_subject_id}
            case SubjectReleased():
                self.covered -= {event.covered_subject_id}
                self.released |= {event.covered_subject_id}
            case HoldLifted():
                self.lifted = True
