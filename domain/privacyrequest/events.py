"""What can happen to a request by which a person exercises their rights."""

from datetime import date
from typing import ClassVar
from uuid import UUID

from domain.model import Category, Conversation, Created, DataSubject, Event, Public
from domain.privacyrequest.terms import (
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
)
from domain.values import Channel, ErasureGround


class PrivacyRequestEvent(Event):
    """What the person wrote is sealed under their own key; what we write about it, under the request's.

    So the request and how it was answered can be accounted for when the person is erased.
    """

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class PrivacyRequestReceived(PrivacyRequestEvent, Created):
    """A person exercises a right. The time to answer runs from the day of receipt."""

    TOPIC: ClassVar[str] = "privacy.received"
    subject_id: DataSubject
    kind: Public[RequestKind]
    channel: Public[Channel]
    received_on: Public[date]
    due_on: Public[date]
    text: Conversation[str] = None


class PrivacyIdentityVerified(PrivacyRequestEvent):
    """Who asks is the person, or has their authority."""

    TOPIC: ClassVar[str] = "privacy.identity_verified"
    subject_id: DataSubject
    proof: Public[IdentityProof]


class PrivacyRequestExtended(PrivacyRequestEvent):
    """It takes longer: until `due_on`, by so many months."""

    TOPIC: ClassVar[str] = "privacy.extended"
    subject_id: DataSubject
    months: Public[int]
    due_on: Public[date]
    ground: Public[ExtensionGround]


class PrivacyRequestReminded(PrivacyRequestEvent):
    """The deadline `due_on` comes near, or is over."""

    TOPIC: ClassVar[str] = "privacy.reminded"
    subject_id: DataSubject
    notice: Public[Notice]
    due_on: Public[date]


class PrivacyDossierMade(PrivacyRequestEvent):
    """What is held about the person was handed out for this request: to the officer, who passes it on."""

    TOPIC: ClassVar[str] = "privacy.dossier_made"
    subject_id: DataSubject
    dossier_id: Public[UUID]


class PrivacyErasureBegun(PrivacyRequestEvent):
    """The erasure that was asked for is begun: of these categories only, of everything where none is named.

    Under a legal hold it waits, and the request stays open with it.
    """

    TOPIC: ClassVar[str] = "privacy.erasure_begun"
    subject_id: DataSubject
    erasure_id: Public[UUID]
    ground: Public[ErasureGround]
    categories: Public[tuple[Category, ...]] = ()


class PrivacyRequestFulfilled(PrivacyRequestEvent):
    """What was asked is done, by this erasure, dossier or export, or on these records."""

    TOPIC: ClassVar[str] = "privacy.fulfilled"
    subject_id: DataSubject
    erasure_id: Public[UUID | None] = None
    dossier_id: Public[UUID | None] = None
    export_id: Public[UUID | None] = None
    record_ids: Public[tuple[UUID, ...]] = ()


class PrivacyRequestRefused(PrivacyRequestEvent):
    """It is not done, on this ground; the person is told, and where to complain (GDPR, article 12(4))."""

    TOPIC: ClassVar[str] = "privacy.refused"
    subject_id: DataSubject
    ground: Public[RefusalGround]


class PrivacyRequestWithdrawn(PrivacyRequestEvent):
    """The person no longer asks."""

    TOPIC: ClassVar[str] = "privacy.withdrawn"
    subject_id: DataSubject
