"""What may happen to the erasure of a person."""

from collections.abc import Collection
from typing import Self
from uuid import UUID

from domain.erasure.events import (
    ErasureAcknowledged,
    ErasureHeld,
    ErasureRequested,
    ErasureSealed,
    SubjectErased,
)
from domain.model import Aggregate, Category, DomainError, Event
from domain.values import ErasureGround


class ErasureNotCarriedOut(DomainError):
    """Only an erasure that is carried out can be acknowledged or sealed."""


class Erasure(Aggregate):
    """The erasure of one person, from the request until nothing is left that could open what was sealed.

    Its own subject is the request itself: what is written about it (a reason) outlives the person's keys.
    """

    TOPIC = "erasure"

    @classmethod
    def request(
        cls,
        *,
        id: UUID,
        erased_subject_id: UUID,
        ground: ErasureGround,
        categories: Collection[Category] = (),
    ) -> Self:
        """Of the named categories; of everything where none is named, or all of them are."""
        return cls._create(
            ErasureRequested,
            id=id,
            erased_subject_id=erased_subject_id,
            ground=ground,
            categories=() if set(categories) == set(Category) else tuple(sorted(set(categories))),
        )

    def hold(self) -> None:
        """A legal hold stands in the way. Once it is known to, or all is destroyed, nothing changes."""
        if not (self.held or self.completed):
            self.trigger_event(ErasureHeld)

    def complete(self, *, fingerprints: Collection[str], ledger_hash: str | None = None) -> None:
        """The keys are destroyed. Completing again changes nothing: the saga may repeat its steps."""
        if not self.completed:
            self.trigger_event(
                SubjectErased,
                erased_subject_id=self.erased_subject_id,
                fingerprints=tuple(sorted(fingerprints)),
                categories=self.categories,
                ledger_hash=ledger_hash,
            )

    def acknowledge(self, *, subscriber: str) -> None:
        """A subscriber has erased its copies. Saying so again changes nothing."""
        if not self.completed:
            raise ErasureNotCarriedOut(self.id)
        if subscriber not in self.acknowledged_by:
            self.trigger_event(ErasureAcknowledged, subscriber=subscriber)

    def seal(self, *, epoch: int, kek_id: str) -> None:
        """No key-encryption key is left that old copies of the keys would open under. Sealed once."""
        if not self.completed:
            raise ErasureNotCarriedOut(self.id)
        if not self.sealed:
            self.trigger_event(ErasureSealed, epoch=epoch, kek_id=kek_id)

    def evolve(self, event: Event) -> None:
        match event:
            case ErasureRequested():
                self.subject_id = event.originator_id
                self.erased_subject_id = event.erased_subject_id
                self.categories = event.categories
                self.held = self.completed = self.sealed = False
                self.acknowledged_by: frozenset[str] = frozenset()
            case ErasureHeld():
                self.held = True
            case SubjectErased():
                self.completed = True
            case ErasureAcknowledged():
                self.acknowledged_by |= {event.subscriber}
            case ErasureSealed():
                self.sealed = True
