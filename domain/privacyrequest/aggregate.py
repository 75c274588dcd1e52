"""What may happen to a privacy request, and what not."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Self
from uuid import UUID, uuid5

from domain.model import Aggregate, Category, DomainError, Event
from domain.privacyrequest.deadline import EXTENSION_MONTHS_MAX, due_on, is_overdue
from domain.privacyrequest.events import (
    PrivacyDossierMade,
    PrivacyErasureBegun,
    PrivacyIdentityVerified,
    PrivacyRequestExtended,
    PrivacyRequestFulfilled,
    PrivacyRequestReceived,
    PrivacyRequestRefused,
    PrivacyRequestReminded,
    PrivacyRequestWithdrawn,
)
from domain.privacyrequest.terms import (
    GROUNDS,
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
    RequestState,
)
from domain.values import Channel, ErasureGround


class RequestIsClosed(DomainError):
    """The request was fulfilled, refused or withdrawn."""


class IdentityNotVerified(DomainError):
    """A request is fulfilled once it is known that who asks is the person."""


class AlreadyExtended(DomainError):
    """The time to answer is extended once."""


class ExtensionTooLong(DomainError):
    """The time to answer is extended by one month or two."""


class ExtendedTooLate(DomainError):
    """The time to answer is extended before it is over."""


class GroundDoesNotApply(DomainError):
    """A request of this kind cannot be refused on this ground."""


class DossierMissing(DomainError):
    """Access and portability are given by a dossier made for this request, or by an export."""


class ErasureUnderWay(DomainError):
    """The erasure is begun: it is not taken back."""


URGENCY = {notice: number for number, notice in enumerate(Notice, start=1)}
GIVES_DATA = (RequestKind.ACCESS, RequestKind.PORTABILITY)


class PrivacyRequest(Aggregate):
    """A person exercises a right, from the day of receipt until we answered."""

    TOPIC = "privacyrequest"

    @property
    def erasure_id(self) -> UUID | None:
        """That of the erasure that was begun."""
        return self.erasure.erasure_id if self.erasure is not None else None

    @classmethod
    def receive(
        cls,
        *,
        id: UUID,
        subject_id: UUID,
        kind: RequestKind,
        channel: Channel,
        received_on: date,
        text: str | None = None,
    ) -> Self:
        return cls._create(
            PrivacyRequestReceived,
            id=id,
            subject_id=subject_id,
            kind=kind,
            channel=channel,
            received_on=received_on,
            due_on=due_on(received_on),
            text=text,
        )

    def verify_identity(self, *, proof: IdentityProof) -> None:
        self._check_open()
        if not self.verified:
            self.trigger_event(PrivacyIdentityVerified, proof=proof)

    def extend(self, *, months: int, ground: ExtensionGround, at: datetime) -> None:
        """Once, before the first month is over at the moment `at`."""
        self._check_open()
        if not 1 <= months <= EXTENSION_MONTHS_MAX:
            raise ExtensionTooLong(self.id)
        if self.extended_by == months:
            return
        if self.extended_by:
            raise AlreadyExtended(self.id)
        if is_overdue(self.due_on, at):
            raise ExtendedTooLate(self.id)
        self.trigger_event(
            PrivacyRequestExtended,
            months=months,
            due_on=due_on(self.received_on, extended_by=months),
            ground=ground,
        )

    def remind(self, *, notice: Notice, due_on: date) -> None:
        """Says it once for each deadline, and nothing less urgent afterwards."""
        stale = self.state is not RequestState.OPEN or due_on != self.due_on
        if not stale and URGENCY[notice] > self.urgency:
            self.trigger_event(PrivacyRequestReminded, notice=notice, due_on=due_on)

    def link_dossier(self, *, dossier_id: UUID) -> None:
        """A dossier is made for this request. Not before it is known that who asks is the person."""
        self.check_answerable()
        if dossier_id != self.dossier_id:
            self.trigger_event(PrivacyDossierMade, dossier_id=dossier_id)

    def fulfil(
        self,
        *,
        ground: ErasureGround | None = None,
        categories: Collection[Category] = (),
        export_id: UUID | None = None,
        record_ids: Collection[UUID] = (),
    ) -> None:
        """What was asked is done; an erasure is begun by it, and `erased` says when that is done.

        `ground` and `categories` are those of the erasure.
        """
        if self.state is RequestState.FULFILLED:
            return
        self.check_answerable()
        if self.kind is RequestKind.ERASURE:
            self._begin_erasure(ground or ErasureGround.NO_LONGER_NECESSARY, categories)
            return
        dossier_id = self.dossier_id if self.kind in GIVES_DATA else None
        if self.kind in GIVES_DATA and dossier_id is None and export_id is None:
            raise DossierMissing(self.id)
        self.trigger_event(
            PrivacyRequestFulfilled,
            dossier_id=dossier_id,
            export_id=export_id,
            record_ids=tuple(dict.fromkeys(record_ids)),
        )

    def erased(self, *, erasure_id: UUID) -> None:
        """The erasure that was begun is carried out."""
        if self.state is RequestState.OPEN and erasure_id == self.erasure_id:
            self.trigger_event(PrivacyRequestFulfilled, erasure_id=erasure_id)

    def refuse(self, *, ground: RefusalGround) -> None:
        if self.state is RequestState.REFUSED:
            return
        self._check_revocable()
        if ground not in GROUNDS[self.kind]:
            raise GroundDoesNotApply(self.id)
        self.trigger_event(PrivacyRequestRefused, ground=ground)

    def withdraw(self) -> None:
        if self.state is not RequestState.WITHDRAWN:
            self._check_revocable()
            self.trigger_event(PrivacyRequestWithdrawn)

    def _begin_erasure(self, ground: ErasureGround, categories: Collection[Category]) -> None:
        if self.erasure is None:
            self.trigger_event(
                PrivacyErasureBegun,
                erasure_id=uuid5(self.id, "erasure"),
                ground=ground,
                categories=tuple(sorted(set(categories))),
            )

    def _check_open(self) -> None:
        if self.state is not RequestState.OPEN:
            raise RequestIsClosed(self.id)

    def check_answerable(self) -> None:
        """Raises `RequestIsClosed` or `IdentityNotVerified`."""
        self._check_open()
        if not self.verified:
            raise IdentityNotVerified(self.id)

    def _check_revocable(self) -> None:
        self._check_open()
        if self.erasure is not None:
            raise ErasureUnderWay(self.id)

    def evolve(self, event: Event) -> None:
        match event:
            case PrivacyRequestReceived():
                self.subject_id = event.subject_id
                self.kind, self.received_on, self.due_on = event.kind, event.received_on, event.due_on
                self.state = RequestState.OPEN
                self.verified, self.extended_by, self.urgency = False, 0, 0
                self.dossier_id: UUID | None = None
                self.erasure: PrivacyErasureBegun | None = None
            case PrivacyIdentityVerified():
                self.verified = True
            case PrivacyRequestExtended():
                self.extended_by, self.due_on, self.urgency = event.months, event.due_on, 0
            case PrivacyRequestReminded():
                self.urgency = URGENCY[event.notice]
            case PrivacyDossierMade():
                self.dossier_id = event.dossier_id
            case PrivacyErasureBegun():
                self.erasure = event
            case PrivacyRequestFulfilled():
                self.state = RequestState.FULFILLED
            case PrivacyRequestRefused():
                self.state = RequestState.REFUSED
            case PrivacyRequestWithdrawn():
                self.state = RequestState.WITHDRAWN
