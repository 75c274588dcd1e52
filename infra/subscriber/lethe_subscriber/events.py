"""Every event that a Lethe of this release publishes, at its present version.

Made by `python -m infra.contracts publish` from the server's own classes: change those, and make this anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import ClassVar
from uuid import UUID

from lethe_subscriber.values import Event, Money, Personal


@dataclass(frozen=True, kw_only=True, repr=False)
class ActivityChanged(Event):
    """The register's entry from now on: all of it."""

    TYPE: ClassVar[str] = "activity.changed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "activities"

    name: str
    description: str
    lawful_basis: str
    consent_needed: bool
    categories: tuple[str, ...]
    subject_kinds: tuple[str, ...]
    role: str = "controller"
    recipients: tuple[str, ...] = ()
    third_countries: tuple[str, ...] = ()
    safeguards: str | None = None
    retention: str | None = None
    security: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ActivityRegistered(Event):
    """Personal data is processed for this purpose, whose code is its name for programs.

    A retired activity that is taken up again is registered again.
    """

    TYPE: ClassVar[str] = "activity.registered"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "activities"

    name: str
    description: str
    lawful_basis: str
    consent_needed: bool
    categories: tuple[str, ...]
    subject_kinds: tuple[str, ...]
    role: str = "controller"
    recipients: tuple[str, ...] = ()
    third_countries: tuple[str, ...] = ()
    safeguards: str | None = None
    retention: str | None = None
    security: str | None = None
    code: str


@dataclass(frozen=True, kw_only=True, repr=False)
class ActivityRetired(Event):
    """Nothing is processed for this purpose any more."""

    TYPE: ClassVar[str] = "activity.retired"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "activities"


@dataclass(frozen=True, kw_only=True, repr=False)
class BackupDeleted(Event):
    """Its file is deleted."""

    TYPE: ClassVar[str] = "backup.deleted"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "backups"


@dataclass(frozen=True, kw_only=True, repr=False)
class BackupMade(Event):
    """A backup is written: everything up to `snapshot_position`, and the keys as wrapped in `epoch`.

    `file` is its name without a folder; `size_bytes` and `sha256` are the encrypted file's.
    """

    TYPE: ClassVar[str] = "backup.made"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "backups"

    file: str
    size_bytes: int
    sha256: str
    snapshot_position: int
    epoch: int


@dataclass(frozen=True, kw_only=True, repr=False)
class BackupVerified(Event):
    """It was restored elsewhere, and was whole; `boxes_opened` of it were opened with the present keys."""

    TYPE: ClassVar[str] = "backup.verified"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "backups"

    events: int
    boxes_opened: int


@dataclass(frozen=True, kw_only=True, repr=False)
class ConsentExpired(Event):
    """The day up to which the consent was given is over."""

    TYPE: ClassVar[str] = "consent.expired"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "consents"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class ConsentGiven(Event):
    """The person agreed to this wording of this purpose; without a `channel`, through every one of them.

    It holds to the end of the day `expires_on`, in UTC. `evidence` is what shows that they did.
    """

    TYPE: ClassVar[str] = "consent.given"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "consents"

    subject_id: UUID
    purpose: str
    wording_version: str
    source: str
    channel: str | None = None
    expires_on: date | None = None
    evidence: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ConsentWithdrawn(Event):
    """The person took it back: what was done before stays lawful (GDPR, article 7(3))."""

    TYPE: ClassVar[str] = "consent.withdrawn"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "consents"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerAddressChanged(Event):
    """The postal address, its lines separated by newlines; None where there is none any more."""

    TYPE: ClassVar[str] = "customer.address_changed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    address: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerArchived(Event):
    """The customer is out of daily work."""

    TYPE: ClassVar[str] = "customer.archived"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerAssigned(Event):
    """The member who looks after the customer; None where nobody does."""

    TYPE: ClassVar[str] = "customer.assigned"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    owner_id: UUID | None


@dataclass(frozen=True, kw_only=True, repr=False)
class ContactAdded(Event):
    """A person to talk to at an organisation: a data subject of its own."""

    TYPE: ClassVar[str] = "customer.contact_added"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    contact_id: UUID
    name: Personal = None
    role: Personal = None
    email: Personal = None
    phone: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ContactChanged(Event):
    """What is known of the contact from now on: all fields, not only the new ones."""

    TYPE: ClassVar[str] = "customer.contact_changed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    contact_id: UUID
    name: Personal = None
    role: Personal = None
    email: Personal = None
    phone: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ContactRemoved(Event):
    """The person is no contact of this organisation any more (which erases nothing)."""

    TYPE: ClassVar[str] = "customer.contact_removed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    contact_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerEmailChanged(Event):
    """The address mail is sent to; None where there is none any more."""

    TYPE: ClassVar[str] = "customer.email_changed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    email: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerNoteWritten(Event):
    """A note about the customer."""

    TYPE: ClassVar[str] = "customer.note_written"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    text: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerPhoneChanged(Event):
    """The number to call; None where there is none any more."""

    TYPE: ClassVar[str] = "customer.phone_changed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    phone: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerRegistered(Event):
    """We hold this customer from now on, from this source, on this basis, for this purpose.

    A person has a `name` (personal); an organisation has an `organisation` name and facts (public).
    """

    TYPE: ClassVar[str] = "customer.registered"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    kind: str
    source: str
    lawful_basis: str
    purpose: str
    organisation: str | None = None
    sector: str | None = None
    employees: int | None = None
    country: str | None = None
    parent: str | None = None
    lead_id: UUID | None = None
    name: Personal = None
    born_on: Personal = None
    email: Personal = None
    phone: Personal = None
    address: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerReinstated(Event):
    """The archived customer is back in daily work."""

    TYPE: ClassVar[str] = "customer.reinstated"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerRenamed(Event):
    """A person's new `name`, or an organisation's new `organisation` name."""

    TYPE: ClassVar[str] = "customer.renamed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    organisation: str | None = None
    name: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerSegmented(Event):
    """The market segment the customer belongs to; None where it belongs to none."""

    TYPE: ClassVar[str] = "customer.segmented"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    segment: str | None


@dataclass(frozen=True, kw_only=True, repr=False)
class CustomerTagged(Event):
    """The customer's tags from now on: all of them, sorted."""

    TYPE: ClassVar[str] = "customer.tagged"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "customers"

    subject_id: UUID
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class ErasureAcknowledged(Event):
    """A subscriber of the stream says that it has erased its own copies too."""

    TYPE: ClassVar[str] = "erasure.acknowledged"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "erasures"

    subscriber: str


@dataclass(frozen=True, kw_only=True, repr=False)
class ErasureHeld(Event):
    """A legal hold stands against it: nothing is destroyed until the hold is lifted, and then at once."""

    TYPE: ClassVar[str] = "erasure.held"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "erasures"


@dataclass(frozen=True, kw_only=True, repr=False)
class ErasureRequested(Event):
    """Somebody asked, on this ground, that the subject be erased: durable before anything is destroyed.

    Of these categories only; of everything, where none is named.
    """

    TYPE: ClassVar[str] = "erasure.requested"
    VERSION: ClassVar[int] = 2
    STREAM: ClassVar[str] = "erasures"

    erased_subject_id: UUID
    ground: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class ErasureSealed(Event):
    """The key-encryption keys under which the erased keys had ever been wrapped are destroyed themselves.

    From this epoch on, no old copy of the key store, whether a backup, a replica or a write-ahead log, opens
    what was erased.
    """

    TYPE: ClassVar[str] = "erasure.sealed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "erasures"

    epoch: int
    kek_id: str


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportAborted(Event):
    """It broke off: at most so many items, in so many bytes, were handed over."""

    TYPE: ClassVar[str] = "export.aborted"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "exports"

    count: int
    byte_count: int
    exported_subject_id: UUID | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportBegun(Event):
    """Somebody exports this: durable before the first byte leaves. `filters` hold nothing personal.

    `covered_position`: the log up to there is looked at.
    """

    TYPE: ClassVar[str] = "export.begun"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "exports"

    what: str
    filters: dict[str, str]
    format: str
    covered_position: int
    exported_subject_id: UUID | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class ExportMade(Event):
    """All of it was handed over: so many items in so many bytes with this SHA-256, in hex."""

    TYPE: ClassVar[str] = "export.made"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "exports"

    what: str
    filters: dict[str, str]
    format: str
    covered_position: int
    exported_subject_id: UUID | None = None
    count: int
    byte_count: int
    sha256: str


@dataclass(frozen=True, kw_only=True, repr=False)
class HoldLifted(Event):
    """The matter is over: everybody whom the hold covered is released, and nobody is covered any more."""

    TYPE: ClassVar[str] = "hold.lifted"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "holds"


@dataclass(frozen=True, kw_only=True, repr=False)
class HoldPlaced(Event):
    """What concerns this matter is kept from now on. The description is sealed under the hold's own key."""

    TYPE: ClassVar[str] = "hold.placed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "holds"

    subject_id: UUID
    matter: str
    description: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class SubjectCovered(Event):
    """Nothing of this person's is destroyed while the hold covers them."""

    TYPE: ClassVar[str] = "hold.subject_covered"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "holds"

    covered_subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class SubjectReleased(Event):
    """This hold does not stand against erasing the person any more."""

    TYPE: ClassVar[str] = "hold.subject_released"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "holds"

    covered_subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadAssigned(Event):
    """The member who works the lead; None where nobody does."""

    TYPE: ClassVar[str] = "lead.assigned"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    owner_id: UUID | None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadCaptured(Event):
    """A possible sale came to our notice; `customer_id` where the customer is known already."""

    TYPE: ClassVar[str] = "lead.captured"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    source: str
    campaign: str | None = None
    product: str | None = None
    currency: str | None = None
    expected_close_on: date | None = None
    organisation: str | None = None
    country: str | None = None
    customer_id: UUID | None = None
    owner_id: UUID | None = None
    name: Personal = None
    email: Personal = None
    phone: Personal = None
    note: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadContacted(Event):
    """We spoke with them: the lead is engaged."""

    TYPE: ClassVar[str] = "lead.contacted"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    channel: str | None = None
    note: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadDisqualified(Event):
    """There is no sale to be made here."""

    TYPE: ClassVar[str] = "lead.disqualified"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    note: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadLinked(Event):
    """The customer the sale is for."""

    TYPE: ClassVar[str] = "lead.linked"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    customer_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadLost(Event):
    """They did not buy."""

    TYPE: ClassVar[str] = "lead.lost"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    cause: str
    note: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadProposed(Event):
    """We made an offer."""

    TYPE: ClassVar[str] = "lead.proposed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    value: Money
    valid_until: date | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadQualified(Event):
    """There is a real need, worth this much."""

    TYPE: ClassVar[str] = "lead.qualified"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    value: Money
    expected_close_on: date | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadReopened(Event):
    """A lost or disqualified lead is worked again, from the engaged stage."""

    TYPE: ClassVar[str] = "lead.reopened"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadRevalued(Event):
    """The sale is now thought to be worth this much."""

    TYPE: ClassVar[str] = "lead.revalued"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    value: Money


@dataclass(frozen=True, kw_only=True, repr=False)
class LeadWon(Event):
    """They bought, for this much."""

    TYPE: ClassVar[str] = "lead.won"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "leads"

    subject_id: UUID
    value: Money


@dataclass(frozen=True, kw_only=True, repr=False)
class MemberAcknowledged(Event):
    """They read this version of a policy and will keep to it; to the end of `expires_on`, if it ends."""

    TYPE: ClassVar[str] = "member.acknowledged"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "members"

    subject_id: UUID
    policy: str
    version: str
    on: date
    expires_on: date | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class MemberLeft(Event):
    """They do not work here any more."""

    TYPE: ClassVar[str] = "member.left"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "members"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class MemberMoved(Event):
    """Team, office and manager from now on: all three."""

    TYPE: ClassVar[str] = "member.moved"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "members"

    subject_id: UUID
    team: str | None = None
    office: str | None = None
    manager_id: UUID | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class MemberRegistered(Event):
    """Somebody works here; every other event names them by id only."""

    TYPE: ClassVar[str] = "member.registered"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "members"

    subject_id: UUID
    team: str | None = None
    office: str | None = None
    manager_id: UUID | None = None
    name: Personal = None
    email: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class MemberTrained(Event):
    """They took this version of a course; what they learnt counts to the end of `expires_on`, if it ends."""

    TYPE: ClassVar[str] = "member.trained"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "members"

    subject_id: UUID
    course: str
    version: str
    on: date
    expires_on: date | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyDossierMade(Event):
    """What is held about the person was handed out for this request: to the officer, who passes it on."""

    TYPE: ClassVar[str] = "privacy.dossier_made"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    dossier_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyErasureBegun(Event):
    """The erasure that was asked for is begun: of these categories only, of everything where none is named.

    Under a legal hold it waits, and the request stays open with it.
    """

    TYPE: ClassVar[str] = "privacy.erasure_begun"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    erasure_id: UUID
    ground: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyRequestExtended(Event):
    """It takes longer: until `due_on`, by so many months."""

    TYPE: ClassVar[str] = "privacy.extended"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    months: int
    due_on: date
    ground: str


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyRequestFulfilled(Event):
    """What was asked is done, by this erasure, dossier or export, or on these records."""

    TYPE: ClassVar[str] = "privacy.fulfilled"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    erasure_id: UUID | None = None
    dossier_id: UUID | None = None
    export_id: UUID | None = None
    record_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyIdentityVerified(Event):
    """Who asks is the person, or has their authority."""

    TYPE: ClassVar[str] = "privacy.identity_verified"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    proof: str


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyRequestReceived(Event):
    """A person exercises a right. The time to answer runs from the day of receipt."""

    TYPE: ClassVar[str] = "privacy.received"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    kind: str
    channel: str
    received_on: date
    due_on: date
    text: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyRequestRefused(Event):
    """It is not done, on this ground; the person is told, and where to complain (GDPR, article 12(4))."""

    TYPE: ClassVar[str] = "privacy.refused"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    ground: str


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyRequestReminded(Event):
    """The deadline `due_on` comes near, or is over."""

    TYPE: ClassVar[str] = "privacy.reminded"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID
    notice: str
    due_on: date


@dataclass(frozen=True, kw_only=True, repr=False)
class PrivacyRequestWithdrawn(Event):
    """The person no longer asks."""

    TYPE: ClassVar[str] = "privacy.withdrawn"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "privacyrequests"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class RestrictionImposed(Event):
    """From now on the person's data is stored and nothing else, unless a ground is given each time."""

    TYPE: ClassVar[str] = "restriction.imposed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "restrictions"

    subject_id: UUID
    cause: str


@dataclass(frozen=True, kw_only=True, repr=False)
class RestrictionLifted(Event):
    """The person's data may be processed again; they are told before (GDPR, article 18(3))."""

    TYPE: ClassVar[str] = "restriction.lifted"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "restrictions"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class RetentionSet(Event):
    """Records of this kind need the category for so many days after the latest of the events `after`.

    `after` holds names of events such as `ticket.closed`, or only `last_activity`: any event of the record.
    """

    TYPE: ClassVar[str] = "retention.set"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "retention"

    kind: str
    category: str
    days: int
    after: tuple[str, ...]
    legal_reason: str


@dataclass(frozen=True, kw_only=True, repr=False)
class RetentionWithdrawn(Event):
    """Records of this kind keep the category without an end again."""

    TYPE: ClassVar[str] = "retention.withdrawn"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "retention"


@dataclass(frozen=True, kw_only=True, repr=False)
class SubjectErased(Event):
    """The subject's keys are destroyed; `fingerprints` are the destroyed keys'.

    Where `categories` are named only those are gone, and the subject lives on. `ledger_hash` is that of the
    erasure's entry in the ledger outside the database.
    """

    TYPE: ClassVar[str] = "subject.erased"
    VERSION: ClassVar[int] = 2
    STREAM: ClassVar[str] = "erasures"

    erased_subject_id: UUID
    fingerprints: tuple[str, ...]
    categories: tuple[str, ...] = ()
    ledger_hash: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class SubscriberEnded(Event):
    """It follows no more: its grants are void and its tokens end. What it copied before is with it."""

    TYPE: ClassVar[str] = "subscriber.ended"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "subscribers"


@dataclass(frozen=True, kw_only=True, repr=False)
class SubscriberGranted(Event):
    """It may open these categories for this purpose, from now on and also in events that were before.

    For a category that it was granted before, the purpose is another one from now on.
    """

    TYPE: ClassVar[str] = "subscriber.granted"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "subscribers"

    categories: tuple[str, ...]
    purpose: str


@dataclass(frozen=True, kw_only=True, repr=False)
class SubscriberRegistered(Event):
    """A program follows the events, under a name for good and for this purpose. It opens nothing yet."""

    TYPE: ClassVar[str] = "subscriber.registered"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "subscribers"

    name: str
    purpose: str


@dataclass(frozen=True, kw_only=True, repr=False)
class SubscriberRevoked(Event):
    """It may open these categories no more."""

    TYPE: ClassVar[str] = "subscriber.revoked"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "subscribers"

    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketAssigned(Event):
    """The team that has it, and the member who works on it; no member: it waits in the team's queue."""

    TYPE: ClassVar[str] = "ticket.assigned"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    team: str
    agent_id: UUID | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketClosed(Event):
    """Nothing more will be done."""

    TYPE: ClassVar[str] = "ticket.closed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketEscalated(Event):
    """Another line of support takes over."""

    TYPE: ClassVar[str] = "ticket.escalated"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    line: str
    team: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketNoteWritten(Event):
    """A note that the customer does not see."""

    TYPE: ClassVar[str] = "ticket.note_written"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    text: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketOpened(Event):
    """A customer asks for something, or reports a fault.

    `subject_id` is the person who asked where known (the customer's subject), else the ticket's own.
    """

    TYPE: ClassVar[str] = "ticket.opened"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    customer_id: UUID | None = None
    channel: str
    product: str | None = None
    country: str | None = None
    impact: str
    urgency: str
    priority: str
    subject: Personal = None
    description: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketPaused(Event):
    """We wait for somebody else (`waiting_for`, a code such as `customer`): the SLA clock stands."""

    TYPE: ClassVar[str] = "ticket.paused"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    waiting_for: str


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketPrioritised(Event):
    """Impact and urgency were judged anew; the priority follows from them."""

    TYPE: ClassVar[str] = "ticket.prioritised"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    impact: str
    urgency: str
    priority: str


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketProgressed(Event):
    """Somebody reported work on it that changes nothing else, under this activity's code."""

    TYPE: ClassVar[str] = "ticket.progressed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    activity: str


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketReopened(Event):
    """It was not done after all."""

    TYPE: ClassVar[str] = "ticket.reopened"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketReplyReceived(Event):
    """The customer wrote again."""

    TYPE: ClassVar[str] = "ticket.reply_received"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    channel: str
    text: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketReplySent(Event):
    """We answered; the first one stops the first-response clock."""

    TYPE: ClassVar[str] = "ticket.reply_sent"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    channel: str
    text: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketResolved(Event):
    """What was asked is done."""

    TYPE: ClassVar[str] = "ticket.resolved"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID
    note: Personal = None


@dataclass(frozen=True, kw_only=True, repr=False)
class TicketResumed(Event):
    """The wait is over: the SLA clock goes on."""

    TYPE: ClassVar[str] = "ticket.resumed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "tickets"

    subject_id: UUID


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookChanged(Event):
    """Where and what is sent from now on: all of it."""

    TYPE: ClassVar[str] = "webhook.changed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"

    url: str
    types: tuple[str, ...]
    description: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookParked(Event):
    """Nothing more is sent until somebody resumes it. Nothing is lost: it goes on where it stopped."""

    TYPE: ClassVar[str] = "webhook.parked"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"

    cause: str


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookRegistered(Event):
    """Events of these types are sent there; of all types, where none is named.

    `types` holds types such as `lead.won`, or kinds of record such as `lead`. `after`: from the first event
    after that position; none: from this one on.
    """

    TYPE: ClassVar[str] = "webhook.registered"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"

    url: str
    types: tuple[str, ...]
    description: str | None = None
    after: int | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookRemoved(Event):
    """Nothing is sent there any more."""

    TYPE: ClassVar[str] = "webhook.removed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookReplayed(Event):
    """Everything after this position is sent again."""

    TYPE: ClassVar[str] = "webhook.replayed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"

    after: int


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookResumed(Event):
    """It is sent to again: from where it stopped, or from the first event after a position."""

    TYPE: ClassVar[str] = "webhook.resumed"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"

    after: int | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class WebhookSecretRotated(Event):
    """The secret of this number signs from now on; the one before it signs beside it until then."""

    TYPE: ClassVar[str] = "webhook.secret_rotated"
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str] = "webhooks"

    number: int
    previous_until: datetime


EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        it.TYPE: it
        for it in (
            ActivityChanged,
            ActivityRegistered,
            ActivityRetired,
            BackupDeleted,
            BackupMade,
            BackupVerified,
            ConsentExpired,
            ConsentGiven,
            ConsentWithdrawn,
            CustomerAddressChanged,
            CustomerArchived,
            CustomerAssigned,
            ContactAdded,
            ContactChanged,
            ContactRemoved,
            CustomerEmailChanged,
            CustomerNoteWritten,
            CustomerPhoneChanged,
            CustomerRegistered,
            CustomerReinstated,
            CustomerRenamed,
            CustomerSegmented,
            CustomerTagged,
            ErasureAcknowledged,
            ErasureHeld,
            ErasureRequested,
            ErasureSealed,
            ExportAborted,
            ExportBegun,
            ExportMade,
            HoldLifted,
            HoldPlaced,
            SubjectCovered,
            SubjectReleased,
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
            MemberAcknowledged,
            MemberLeft,
            MemberMoved,
            MemberRegistered,
            MemberTrained,
            PrivacyDossierMade,
            PrivacyErasureBegun,
            PrivacyRequestExtended,
            PrivacyRequestFulfilled,
            PrivacyIdentityVerified,
            PrivacyRequestReceived,
            PrivacyRequestRefused,
            PrivacyRequestReminded,
            PrivacyRequestWithdrawn,
            RestrictionImposed,
            RestrictionLifted,
            RetentionSet,
            RetentionWithdrawn,
            SubjectErased,
            SubscriberEnded,
            SubscriberGranted,
            SubscriberRegistered,
            SubscriberRevoked,
            TicketAssigned,
            TicketClosed,
            TicketEscalated,
            TicketNoteWritten,
            TicketOpened,
            TicketPaused,
            TicketPrioritised,
            TicketProgressed,
            TicketReopened,
            TicketReplyReceived,
            TicketReplySent,
            TicketResolved,
            TicketResumed,
            WebhookChanged,
            WebhookParked,
            WebhookRegistered,
            WebhookRemoved,
            WebhookReplayed,
            WebhookResumed,
            WebhookSecretRotated,
        )
    }
)
"""The class of each type."""
