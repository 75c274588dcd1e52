"""What may happen to a retention policy: one aggregate for each kind of record and category."""

from typing import Self, TypedDict, Unpack
from uuid import UUID

from domain.model import Aggregate, Category, DomainError, Event
from domain.retention.events import RetentionSet, RetentionWithdrawn


class RetentionWithoutReason(DomainError):
    """A policy says on what legal ground data is kept that long."""


class RetentionWithoutStart(DomainError):
    """A policy says after which event its days count, or `last_activity` alone."""


class RetentionOfNoDays(DomainError):
    """Data is kept for a day at least."""


LAST_ACTIVITY = "last_activity"


class Term(TypedDict):
    """How long, from when, and why, named as in `RetentionSet`."""

    days: int
    after: tuple[str, ...]
    legal_reason: str


class Retention(Aggregate):
    """How long records of one kind need one category of personal data. It is its own data subject."""

    TOPIC = "retention"

    @classmethod
    def set_first(cls, *, id: UUID, kind: str, category: Category, **term: Unpack[Term]) -> Self:
        _check(id, term)
        return cls._create(RetentionSet, id=id, kind=kind, category=category, **term)

    def set(self, **term: Unpack[Term]) -> None:
        _check(self.id, term)
        if term != self.term:
            self.trigger_event(RetentionSet, kind=self.kind, category=self.category, **term)

    def withdraw(self) -> None:
        if self.term is not None:
            self.trigger_event(RetentionWithdrawn)

    def evolve(self, event: Event) -> None:
        match event:
            case RetentionSet():
                self.subject_id = event.originator_id
                self.kind = event.kind
                self.category = event.category
                self.term: Term | None = Term(
                    days=event.days, after=event.after, legal_reason=event.legal_reason
                )
            case RetentionWithdrawn():
                self.term = None


def _check(id: UUID, term: Term) -> None:
    if term["days"] < 1:
        raise RetentionOfNoDays(id)
    if not term["after"] or (LAST_ACTIVITY in term["after"] and len(term["after"]) > 1):
        raise RetentionWithoutStart(id)
    if not term["legal_reason"].strip():
        raise RetentionWithoutReason(id)
