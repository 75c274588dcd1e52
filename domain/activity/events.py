"""What happens to a processing activity: an entry of the register of processing (GDPR, article 30)."""

from typing import ClassVar
from uuid import UUID

from domain.model import Category, Event, Public, Recurring
from domain.values import LawfulBasis, ProcessingRole, SubjectKind


class ActivityEvent(Event):
    """Nothing personal: a reason is sealed under the activity's own key."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class ActivityDescribed(ActivityEvent):
    """All that the register says of the activity from now on."""

    name: Public[str]
    description: Public[str]
    lawful_basis: Public[LawfulBasis]
    consent_needed: Public[bool]
    categories: Public[tuple[Category, ...]]
    subject_kinds: Public[tuple[SubjectKind, ...]]
    role: Public[ProcessingRole] = ProcessingRole.CONTROLLER
    recipients: Public[tuple[str, ...]] = ()
    third_countries: Public[tuple[str, ...]] = ()
    safeguards: Public[str | None] = None
    retention: Public[str | None] = None
    security: Public[str | None] = None


class ActivityRegistered(ActivityDescribed, Recurring):
    """Personal data is processed for this purpose, whose code is its name for programs.

    A retired activity that is taken up again is registered again.
    """

    TOPIC: ClassVar[str] = "activity.registered"
    code: Public[str]


class ActivityChanged(ActivityDescribed):
    """The register's entry from now on: all of it."""

    TOPIC: ClassVar[str] = "activity.changed"


class ActivityRetired(ActivityEvent):
    """Nothing is processed for this purpose any more."""

    TOPIC: ClassVar[str] = "activity.retired"
