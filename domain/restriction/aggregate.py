"""What may happen to the restriction of a person's processing: one aggregate a person, for good."""

from typing import Self
from uuid import UUID

from domain.model import Aggregate, DomainError, Event
from domain.restriction.events import RestrictionImposed, RestrictionLifted
from domain.values import RestrictionCause


class RestrictionHasOtherCause(DomainError):
    """The person is restricted already, for another cause: lift that restriction first."""


class Restriction(Aggregate):
    """Whether the processing of one person's data is restricted."""

    TOPIC = "restriction"

    @classmethod
    def impose_first(cls, *, id: UUID, subject_id: UUID, cause: RestrictionCause) -> Self:
        return cls._create(RestrictionImposed, id=id, subject_id=subject_id, cause=cause)

    def impose(self, *, cause: RestrictionCause) -> None:
        if self.cause is None:
            self.trigger_event(RestrictionImposed, cause=cause)
        elif self.cause is not cause:
            raise RestrictionHasOtherCause(self.id)

    def lift(self) -> None:
        if self.cause is not None:
            self.trigger_event(RestrictionLifted)

    def evolve(self, event: Event) -> None:
        match event:
            case RestrictionImposed():
                self.subject_id = event.subject_id
                self.cause: RestrictionCause | None = event.cause
            case RestrictionLifted():
                self.cause = None
