"""What may happen to a processing activity."""

from collections.abc import Mapping
from typing import Any, NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.activity.events import ActivityChanged, ActivityDescribed, ActivityRegistered, ActivityRetired
from domain.model import Aggregate, Category, DomainError, Event
from domain.values import LawfulBasis, ProcessingRole, SubjectKind


class ActivityAlreadyRegistered(DomainError):
    """There is such an activity: change it."""


class ActivityIsRetired(DomainError):
    """A retired activity is registered again before it is changed."""


class ConsentIsTheBasis(DomainError):
    """An activity whose lawful basis is consent needs consent."""


class TransferWithoutSafeguards(DomainError):
    """A transfer to a third country says what safeguards it (GDPR, articles 44 to 49)."""


class Description(TypedDict):
    """What the register says of an activity, named as in `ActivityDescribed`."""

    name: str
    description: str
    lawful_basis: LawfulBasis
    consent_needed: bool
    categories: tuple[Category, ...]
    subject_kinds: tuple[SubjectKind, ...]
    role: NotRequired[ProcessingRole]
    recipients: NotRequired[tuple[str, ...]]
    third_countries: NotRequired[tuple[str, ...]]
    safeguards: NotRequired[str | None]
    retention: NotRequired[str | None]
    security: NotRequired[str | None]


LEFT_OUT: Mapping[str, Any] = {
    name: ActivityDescribed.model_fields[name].default for name in Description.__optional_keys__
}
"""What the register says where a description says nothing."""


class Activity(Aggregate):
    """A purpose for which personal data is processed. It is its own data subject."""

    TOPIC = "activity"

    @classmethod
    def register_first(cls, *, id: UUID, code: str, **says: Unpack[Description]) -> Self:
        _check(id, says)
        return cls._create(ActivityRegistered, id=id, code=code, **says)

    def register(self, **says: Unpack[Description]) -> None:
        """Take a retired activity up again."""
        if not self.retired:
            raise ActivityAlreadyRegistered(self.id)
        _check(self.id, says)
        self.trigger_event(ActivityRegistered, code=self.code, **says)

    def change(self, **says: Unpack[Description]) -> None:
        if self.retired:
            raise ActivityIsRetired(self.id)
        _check(self.id, says)
        if {**LEFT_OUT, **says} != self.says:
            self.trigger_event(ActivityChanged, **says)

    def retire(self) -> None:
        if not self.retired:
            self.trigger_event(ActivityRetired)

    def evolve(self, event: Event) -> None:
        match event:
            case ActivityDescribed():
                self.says: Mapping[str, Any] = {
                    name: getattr(event, name) for name in Description.__annotations__
                }
                if isinstance(event, ActivityRegistered):
                    self.subject_id = event.originator_id
                    self.code = event.code
                    self.retired = False
            case ActivityRetired():
                self.retired = True

    @property
    def lawful_basis(self) -> LawfulBasis:
        basis: LawfulBasis = self.says["lawful_basis"]
        return basis

    @property
    def consent_needed(self) -> bool:
        return bool(self.says["consent_needed"])


def _check(id: UUID, says: Description) -> None:
    if says["lawful_basis"] is LawfulBasis.CONSENT and not says["consent_needed"]:
        raise ConsentIsTheBasis(id)
    if says.get("third_countries") and not (says.get("safeguards") or "").strip():
        raise TransferWithoutSafeguards(id)
