"""What may happen to a lead, and what not."""

from datetime import date
from typing import NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.lead.events import (
    LeadAssigned,
    LeadCaptured,
    LeadContacted,
    LeadDisqualified,
    LeadLinked,
    LeadLost,
    LeadProposed,
    LeadQualified,
    LeadReopened,
    LeadRevalued,
    LeadWon,
)
from domain.model import Aggregate, DomainError, Event
from domain.values import (
    Channel,
    CountryCode,
    CurrencyCode,
    EmailAddress,
    LossReason,
    Money,
    PhoneNumber,
    Stage,
)


class LeadIsClosed(DomainError):
    """A lead that is won, lost or disqualified is reopened before it goes on."""


class LeadAlreadyQualified(DomainError):
    """Only a new or engaged lead is qualified; from then on its value is changed."""


class LeadNotQualified(DomainError):
    """Only a qualified lead is proposed or re-valued."""


class LeadIsWon(DomainError):
    """A won lead stays won."""


class LeadKeepsItsCustomer(DomainError):
    """A won lead is not moved to another customer."""


class LeadInOtherCurrency(DomainError):
    """All values of a lead are in one currency."""


class LeadWorthLessThanNothing(DomainError):
    """The value of a lead is not negative."""


class Capture(TypedDict):
    """What a lead is captured with, named as in `LeadCaptured`."""

    source: str
    campaign: NotRequired[str | None]
    product: NotRequired[str | None]
    currency: NotRequired[CurrencyCode | None]
    expected_close_on: NotRequired[date | None]
    organisation: NotRequired[str | None]
    country: NotRequired[CountryCode | None]
    customer_id: NotRequired[UUID | None]
    owner_id: NotRequired[UUID | None]
    name: NotRequired[str | None]
    email: NotRequired[EmailAddress | None]
    phone: NotRequired[PhoneNumber | None]
    note: NotRequired[str | None]


CLOSED = frozenset({Stage.WON, Stage.LOST, Stage.DISQUALIFIED})
UNQUALIFIED = frozenset({Stage.NEW, Stage.ENGAGED})


class Lead(Aggregate):
    """A possible sale, from capture until it is won or lost."""

    TOPIC = "lead"

    @classmethod
    def capture(cls, *, id: UUID, subject_id: UUID, **facts: Unpack[Capture]) -> Self:
        return cls._create(LeadCaptured, id=id, subject_id=subject_id, **facts)

    def contact(self, *, channel: Channel | None = None, note: str | None = None) -> None:
        """The first contact engages a new lead; later ones are recorded, the stage stays."""
        self._check_open()
        self.trigger_event(LeadContacted, channel=channel, note=note)

    def qualify(self, *, value: Money, expected_close_on: date | None = None) -> None:
        self._check_open()
        if self.stage not in UNQUALIFIED:
            raise LeadAlreadyQualified(self.id)
        self._check_value(value)
        self.trigger_event(LeadQualified, value=value, expected_close_on=expected_close_on)

    def propose(self, *, value: Money, valid_until: date | None = None) -> None:
        """A lead may get several offers, one after the other."""
        self._check_qualified()
        self._check_value(value)
        self.trigger_event(LeadProposed, value=value, valid_until=valid_until)

    def revalue(self, *, value: Money) -> None:
        self._check_qualified()
        self._check_value(value)
        if value != self.value:
            self.trigger_event(LeadRevalued, value=value)

    def assign(self, *, owner_id: UUID | None) -> None:
        """Closed leads are handed over too, when their owner leaves."""
        if owner_id != self.owner_id:
            self.trigger_event(LeadAssigned, owner_id=owner_id)

    def link(self, *, customer_id: UUID) -> None:
        if customer_id == self.customer_id:
            return
        if self.stage is Stage.WON and self.customer_id is not None:
            raise LeadKeepsItsCustomer(self.id)
        self.trigger_event(LeadLinked, customer_id=customer_id)

    def win(self, *, value: Money) -> None:
        """From any open stage: sales are often closed without the steps between."""
        if self.stage is Stage.WON and value == self.value:
            return
        self._check_open()
        self._check_value(value)
        self.trigger_event(LeadWon, value=value)

    def lose(self, *, cause: LossReason, note: str | None = None) -> None:
        if self.stage is Stage.LOST and cause is self.cause and note is None:
            return
        self._check_open()
        self.trigger_event(LeadLost, cause=cause, note=note)

    def disqualify(self, *, note: str | None = None) -> None:
        if self.stage is Stage.DISQUALIFIED and note is None:
            return
        self._check_open()
        self.trigger_event(LeadDisqualified, note=note)

    def reopen(self) -> None:
        if self.stage is Stage.WON:
            raise LeadIsWon(self.id)
        if self.stage in CLOSED:
            self.trigger_event(LeadReopened)

    def _check_open(self) -> None:
        if self.stage in CLOSED:
            raise LeadIsClosed(self.id)

    def _check_qualified(self) -> None:
        self._check_open()
        if self.stage in UNQUALIFIED:
            raise LeadNotQualified(self.id)

    def _check_value(self, value: Money) -> None:
        if self.currency is not None and value.currency != self.currency:
            raise LeadInOtherCurrency(self.id)
        if value.amount < 0:
            raise LeadWorthLessThanNothing(self.id)

    def evolve(self, event: Event) -> None:
        match event:
            case LeadCaptured():
                self.subject_id = event.subject_id
                self.stage = Stage.NEW
                self.value: Money | None = None
                self.currency = event.currency
                self.customer_id = event.customer_id
                self.owner_id = event.owner_id
                self.cause: LossReason | None = None
            case LeadContacted():
                self.stage = Stage.ENGAGED if self.stage is Stage.NEW else self.stage
            case LeadQualified():
                self.stage = Stage.QUALIFIED
                self._evolve_value(event.value)
            case LeadProposed():
                self.stage = Stage.PROPOSED
                self._evolve_value(event.value)
            case LeadRevalued():
                self._evolve_value(event.value)
            case LeadAssigned():
                self.owner_id = event.owner_id
            case LeadLinked():
                self.customer_id = event.customer_id
            case LeadWon():
                self.stage = Stage.WON
                self._evolve_value(event.value)
            case LeadLost():
                self.stage = Stage.LOST
                self.cause = event.cause
            case LeadDisqualified():
                self.stage = Stage.DISQUALIFIED
            case LeadReopened():
                self.stage = Stage.ENGAGED

    def _evolve_value(self, value: Money) -> None:
        self.value = value
        self.currency = value.currency
