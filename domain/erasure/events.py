"""What happens when a person is erased: facts that outlive the person and hold no personal data of theirs."""

from typing import ClassVar
from uuid import UUID

from domain.model import Created, Event, Public
from domain.values import ErasureGround


class ErasureEvent(Event):
    """Names the erased person by the pseudonym only; a reason is sealed under the request's own key."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class ErasureRequested(ErasureEvent, Created):
    """Somebody asked, on this ground, that the subject be erased: durable before anything is destroyed."""

    TOPIC: ClassVar[str] = "erasure.requested"
    erased_subject_id: Public[UUID]
    ground: Public[ErasureGround]


class SubjectErased(ErasureEvent):
    """The subject's keys are destroyed; `fingerprints` are the destroyed keys'."""

    TOPIC: ClassVar[str] = "subject.erased"
    erased_subject_id: Public[UUID]
    fingerprints: Public[tuple[str, ...]]
