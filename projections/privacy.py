"""The privacy requests: who exercised which right, until when we answer, and how we did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Protocol
from uuid import UUID

from domain.model import Event
from domain.privacyrequest.deadline import is_overdue
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
    ExtensionGround,
    IdentityProof,
    Notice,
    RefusalGround,
    RequestKind,
    RequestState,
)
from domain.values import Channel
from projections.model import Personal, Recorded, Row, Rows, advance


@dataclass(slots=True, kw_only=True)
class PrivacyRequestRow(Row):
    """A request as things stand. `notice`: the last one given of the present deadline."""

    kind: RequestKind
    channel: Channel
    received_on: date
    due_on: date
    recorded_at: datetime
    state: RequestState = RequestState.OPEN
    identity_proof: IdentityProof | None = None
    identity_verified_at: datetime | None = None
    extended_by: int = 0
    extension_ground: ExtensionGround | None = None
    notice: Notice | None = None
    erasure_id: UUID | None = None
    dossier_ids: list[UUID] = field(default_factory=list)
    export_id: UUID | None = None
    record_ids: list[UUID] = field(default_factory=list)
    refusal_ground: RefusalGround | None = None
    closed_at: datetime | None = None
    text: Personal = None

    def overdue(self, at: datetime) -> bool:
        """Whether it is still open `at` this moment, and its last day over."""
        return self.state is RequestState.OPEN and is_overdue(self.due_on, at)


@dataclass(frozen=True, slots=True)
class PrivacyRequestFilter:
    """Which requests; None leaves the field open. `due_before`: due, or once due, before this day.

    `erasing`: an erasure is begun for it.
    """

    kind: RequestKind | None = None
    state: RequestState | None = None
    subject_id: UUID | None = None
    due_before: date | None = None
    overdue: bool | None = None
    erasing: bool | None = None


@dataclass(frozen=True, slots=True)
class PrivacyFigures:
    """How many requests are open, and how many of those are late."""

    open: int
    overdue: int


class PrivacyRequests(Protocol):
    """Reads the requests. Lists are in order of id, from the first above `after`; late is as of `at`."""

    async def request(self, id: UUID) -> PrivacyRequestRow | None: ...

    async def requests(self, ids: Sequence[UUID]) -> list[PrivacyRequestRow]:
        """Those that exist, in the order asked for."""
        ...

    async def list_requests(
        self, where: PrivacyRequestFilter, *, at: datetime, limit: int, after: UUID | None = None
    ) -> list[PrivacyRequestRow]: ...

    async def figures(self, *, at: datetime) -> PrivacyFigures: ...


VERSION: Final = 1
"""Raised when the rows come to mean something else, or get other columns: then this view is built anew."""


def project(rows: Rows[PrivacyRequestRow], recorded: Recorded) -> None:
    """Bring the request's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    if isinstance(event, PrivacyRequestReceived):
        if event.originator_id not in rows:
            rows[event.originator_id] = _request(event, recorded)
    elif (row := advance(rows, recorded)) is not None:
        _change(row, event)


def _request(event: PrivacyRequestReceived, recorded: Recorded) -> PrivacyRequestRow:
    return PrivacyRequestRow(
        id=event.originator_id,
        subject_id=event.subject_id,
        version=event.originator_version,
        position=recorded.position,
        kind=event.kind,
        channel=event.channel,
        received_on=event.received_on,
        due_on=event.due_on,
        recorded_at=recorded.envelope.recorded_at,
        text=event.text,
    )


def _change(row: PrivacyRequestRow, event: Event) -> None:
    match event:
        case PrivacyIdentityVerified():
            row.identity_proof, row.identity_verified_at = event.proof, event.timestamp
        case PrivacyRequestExtended():
            row.extended_by, row.extension_ground = event.months, event.ground
            row.due_on, row.notice = event.due_on, None
        case PrivacyRequestReminded():
            row.notice = event.notice
        case PrivacyDossierMade():
            row.dossier_ids = [*row.dossier_ids, event.dossier_id]
        case PrivacyErasureBegun():
            row.erasure_id = event.erasure_id
        case PrivacyRequestFulfilled():
            row.state, row.export_id = RequestState.FULFILLED, event.export_id
            row.record_ids, row.closed_at = list(event.record_ids), event.timestamp
        case PrivacyRequestRefused():
            row.state, row.refusal_ground = RequestState.REFUSED, event.ground
            row.closed_at = event.timestamp
        case PrivacyRequestWithdrawn():
            row.state, row.closed_at = RequestState.WITHDRAWN, event.timestamp
