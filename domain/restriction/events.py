"""What happens when the processing of a person's data is restricted (GDPR, article 18)."""

from typing import ClassVar

from domain.model import DataSubject, Event, Public, Recurring
from domain.values import RestrictionCause


class RestrictionImposed(Recurring):
    """From now on the person's data is stored and nothing else, unless a ground is given each time."""

    TOPIC: ClassVar[str] = "restriction.imposed"
    subject_id: DataSubject
    cause: Public[RestrictionCause]


class RestrictionLifted(Event):
    """The person's data may be processed again; they are told before (GDPR, article 18(3))."""

    TOPIC: ClassVar[str] = "restriction.lifted"
    subject_id: DataSubject
