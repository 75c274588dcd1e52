"""What happens when the law wants data kept: a legal hold on a matter, and the people whom it covers."""

from typing import ClassVar
from uuid import UUID

from domain.model import Conversation, Created, DataSubject, Event, Public


class HoldPlaced(Created):
    """What concerns this matter is kept from now on. The description is sealed under the hold's own key."""

    TOPIC: ClassVar[str] = "hold.placed"
    subject_id: DataSubject
    matter: Public[str]
    description: Conversation[str] = None


class HoldEvent(Event):
    """Of the hold, not of the person: a reason is sealed under the hold's own key, and outlives theirs."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class SubjectCovered(HoldEvent):
    """Nothing of this person's is destroyed while the hold covers them."""

    TOPIC: ClassVar[str] = "hold.subject_covered"
    covered_subject_id: DataSubject


class SubjectReleased(HoldEvent):
    """This hold does not stand against erasing the person any more."""

    TOPIC: ClassVar[str] = "hold.subject_released"
    covered_subject_id: DataSubject


class HoldLifted(HoldEvent):
    """The matter is over: everybody whom the hold covered is released, and nobody is covered any more."""

    TOPIC: ClassVar[str] = "hold.lifted"
