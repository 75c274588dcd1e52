"""What people's rights ask for: restrictions, legal holds, consents; the register and retention policies."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from domain.activity.events import ActivityDescribed, ActivityRegistered, ActivityRetired
from domain.consent.events import ConsentExpired, ConsentGiven, ConsentWithdrawn
from domain.hold.events import HoldLifted, HoldPlaced, SubjectCovered, SubjectReleased
from domain.member.events import MemberAcknowledged, MemberLeft, MemberRegistered, MemberTrained
from domain.model import Event
from domain.restriction.events import RestrictionImposed, RestrictionLifted
from domain.retention.events import RetentionSet, RetentionWithdrawn
from domain.values import Channel, LawfulBasis, ProcessingRole, RestrictionCause
from projections.model import Personal, Recorded, Row, Rows, advance


@dataclass(slots=True, kw_only=True)
class RestrictionRow(Row):
    """Whether a person's processing is restricted: `cause` while it is; `lifted_at` once it is not."""

    imposed_at: datetime
    cause: RestrictionCause | None = None
    lifted_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class HoldRow(Row):
    """A legal hold: whom it covers, and whom it covered before."""

    matter: str
    placed_at: datetime
    lifted_at: datetime | None = None
    covered: list[UUID] = field(default_factory=list)
    released: list[UUID] = field(default_factory=list)
    description: Personal = None


class ConsentState(StrEnum):
    """How a consent stands. One whose last day is over is `given` until the scheduler has looked at it."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(slots=True, kw_only=True)
class ConsentRow(Row):
    """A person's consent to one purpose through one channel, or through all; as it was given last."""

    purpose: str
    state: ConsentState
    wording_version: str
    source: str
    given_at: datetime
    channel: Channel | None = None
    expires_on: date | None = None
    ended_at: datetime | None = None
    evidence: Personal = None


@dataclass(slots=True, kw_only=True)
class ActivityRow(Row):
    """An entry of the register of processing."""

    code: str
    name: str
    description: str
    lawful_basis: LawfulBasis
    consent_needed: bool
    role: ProcessingRole
    registered_at: datetime
    changed_at: datetime
    categories: list[str] = field(default_factory=list)
    subject_kinds: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    third_countries: list[str] = field(default_factory=list)
    safeguards: str | None = None
    retention: str | None = None
    security: str | None = None
    retired_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class RetentionRow(Row):
    """How long records of a kind need a category: `days` after the latest of the events `after`."""

    kind: str
    category: str
    days: int
    after: list[str]
    legal_reason: str
    set_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class StaffRow(Row):
    """What a member has learnt and acknowledged, the last of each; `expires_first` is the first last day.

    A credential is {"sort": "course" or "policy", "name", "version", "on", "expires_on"}, days as ISO texts.
    """

    left_at: datetime | None = None
    expires_first: date | None = None
    credentials: list[dict[str, Any]] = field(default_factory=list)


RightsRow: TypeAlias = RestrictionRow | HoldRow | ConsentRow | ActivityRow | RetentionRow | StaffRow


@dataclass(frozen=True, slots=True)
class RestrictionFilter:
    """Which restrictions; None leaves the field open. `standing`: not lifted."""

    standing: bool | None = None
    cause: RestrictionCause | None = None


@dataclass(frozen=True, slots=True)
class HoldFilter:
    """Which holds; None leaves the field open. `standing`: not lifted. `covers`: a person covered now."""

    standing: bool | None = None
    matter: str | None = None
    covers: UUID | None = None


@dataclass(frozen=True, slots=True)
class ConsentFilter:
    """Which consents; None leaves the field open. `over_on`: its last day is before this one."""

    subject_id: UUID | None = None
    purpose: str | None = None
    channel: Channel | None = None
    state: ConsentState | None = None
    over_on: date | None = None


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which activities; None leaves the field open. `living`: not retired."""

    code: str | None = None
    living: bool | None = None


@dataclass(frozen=True, slots=True)
class RetentionFilter:
    """Which policies; None leaves the field open. `living`: not withdrawn."""

    kind: str | None = None
    category: str | None = None
    living: bool | None = None


@dataclass(frozen=True, slots=True)
class StaffFilter:
    """Which members; None leaves the field open. `present`: has not left.

    `over_on`: something they learnt or acknowledged has its last day before this one.
    """

    present: bool | None = None
    over_on: date | None = None


class Rights(Protocol):
    """Reads what people's rights ask for. Lists are in order of id, from the first id above `after`."""

    async def restriction(self, id: UUID) -> RestrictionRow | None: ...

    async def list_restrictions(
        self, where: RestrictionFilter, *, limit: int, after: UUID | None = None
    ) -> list[RestrictionRow]: ...

    async def hold(self, id: UUID) -> HoldRow | None: ...

    async def list_holds(
        self, where: HoldFilter, *, limit: int, after: UUID | None = None
    ) -> list[HoldRow]: ...

    async def consent(self, id: UUID) -> ConsentRow | None: ...

    async def list_consents(
        self, where: ConsentFilter, *, limit: int, after: UUID | None = None
    ) -> list[ConsentRow]: ...

    async def activity(self, id: UUID) -> ActivityRow | None: ...

    async def list_activities(
        self, where: ActivityFilter, *, limit: int, after: UUID | None = None
    ) -> list[ActivityRow]: ...

    async def policy(self, id: UUID) -> RetentionRow | None: ...

    async def list_policies(
        self, where: RetentionFilter, *, limit: int, after: UUID | None = None
    ) -> list[RetentionRow]: ...

    async def list_staff(
        self, where: StaffFilter, *, limit: int, after: UUID | None = None
    ) -> list[StaffRow]: ...


VERSION: Final = 1
"""Raised when the rows come to mean something else, or get other columns: then this view is built anew."""


def project(rows: Rows[Any], recorded: Recorded) -> None:
    """Bring the record's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    if event.originator_id not in rows:
        row = _begun(event, recorded.position)
        if row is not None:
            rows[event.originator_id] = row
        return
    row = advance(rows, recorded)
    if row is not None:
        _change(row, event)


def _begun(event: Event, position: int) -> RightsRow | None:
    place: dict[str, Any] = {
        "id": event.originator_id,
        "subject_id": event.record_subject,
        "version": event.originator_version,
        "position": position,
    }
    match event:
        case RestrictionImposed():
            return RestrictionRow(**place, imposed_at=event.timestamp, cause=event.cause)
        case HoldPlaced():
            return HoldRow(
                **place, matter=event.matter, placed_at=event.timestamp, description=event.description
            )
        case ConsentGiven():
            return ConsentRow(**place, purpose=event.purpose, channel=event.channel, **_agreement(event))
        case ActivityRegistered():
            return ActivityRow(
                **place,
                code=event.code,
                registered_at=event.timestamp,
                changed_at=event.timestamp,
                **_entry(event),
            )
        case RetentionSet():
            return RetentionRow(**place, kind=event.kind, category=event.category, **_term(event))
        case MemberRegistered():
            return StaffRow(**place)
        case _:
            return None


def _change(row: RightsRow, event: Event) -> None:
    match row:
        case RestrictionRow():
            _change_restriction(row, event)
        case HoldRow():
            _change_hold(row, event)
        case ConsentRow():
            _change_consent(row, event)
        case ActivityRow():
            _change_activity(row, event)
        case RetentionRow():
            _change_policy(row, event)
        case StaffRow():
            _change_staff(row, event)


def _change_restriction(row: RestrictionRow, event: Event) -> None:
    match event:
        case RestrictionImposed():
            row.imposed_at, row.cause, row.lifted_at = event.timestamp, event.cause, None
        case RestrictionLifted():
            row.cause, row.lifted_at = None, event.timestamp


def _change_hold(row: HoldRow, event: Event) -> None:
    match event:
        case SubjectCovered():
            row.covered = [*row.covered, event.covered_subject_id]
        case SubjectReleased():
            row.covered = [it for it in row.covered if it != event.covered_subject_id]
            row.released = [*row.released, event.covered_subject_id]
        case HoldLifted():
            row.lifted_at = event.timestamp


def _change_consent(row: ConsentRow, event: Event) -> None:
    match event:
        case ConsentGiven():
            _assign(row, _agreement(event))
            row.ended_at = None
        case ConsentWithdrawn():
            row.state, row.ended_at = ConsentState.WITHDRAWN, event.timestamp
        case ConsentExpired():
            row.state, row.ended_at = ConsentState.EXPIRED, event.timestamp


def _change_activity(row: ActivityRow, event: Event) -> None:
    match event:
        case ActivityDescribed():
            _assign(row, _entry(event))
            row.changed_at, row.retired_at = event.timestamp, None
        case ActivityRetired():
            row.changed_at = row.retired_at = event.timestamp


def _change_policy(row: RetentionRow, event: Event) -> None:
    match event:
        case RetentionSet():
            _assign(row, _term(event))
            row.withdrawn_at = None
        case RetentionWithdrawn():
            row.withdrawn_at = event.timestamp


def _change_staff(row: StaffRow, event: Event) -> None:
    match event:
        case MemberTrained():
            _learn(row, "course", event.course, event)
        case MemberAcknowledged():
            _learn(row, "policy", event.policy, event)
        case MemberLeft():
            row.left_at = event.timestamp


def _learn(row: StaffRow, sort: str, name: str, event: MemberTrained | MemberAcknowledged) -> None:
    ends = None if event.expires_on is None else event.expires_on.isoformat()
    new = {"sort": sort, "name": name, "version": event.version, "on": event.on.isoformat()}
    others = [it for it in row.credentials if (it["sort"], it["name"]) != (sort, name)]
    row.credentials = [*others, {**new, "expires_on": ends}]
    days = [it["expires_on"] for it in row.credentials if it["expires_on"] is not None]
    row.expires_first = date.fromisoformat(min(days)) if days else None


def _agreement(event: ConsentGiven) -> dict[str, Any]:
    return {
        "state": ConsentState.GIVEN,
        "wording_version": event.wording_version,
        "source": event.source,
        "given_at": event.timestamp,
        "expires_on": event.expires_on,
        "evidence": event.evidence,
    }


def _entry(event: ActivityDescribed) -> dict[str, Any]:
    lists = ("categories", "subject_kinds", "recipients", "third_countries")
    plain = ("name", "description", "lawful_basis", "consent_needed", "role", "safeguards", "retention")
    return {name: getattr(event, name) for name in (*plain, "security")} | {
        name: [str(it) for it in getattr(event, name)] for name in lists
    }


def _term(event: RetentionSet) -> dict[str, Any]:
    return {
        "days": event.days,
        "after": list(event.after),
        "legal_reason": event.legal_reason,
        "set_at": event.timestamp,
    }


def _assign(row: Row, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
