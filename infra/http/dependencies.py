"""What the HTTP door stands on: filled in by the composition root, and by tests."""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from domain.model import Category
from infra.access import TokenStore
from infra.accesslog import AccessLog
from infra.audit.bundling import Bundling
from infra.audit.tree import AuditTree
from infra.contracts.contracts import Contracts
from infra.deadletters import DeadLetters
from infra.dossier.gathering import Sources
from infra.history.reports import ReportStore
from infra.http.shelf import Shelf
from infra.retention import RetentionRunner
from infra.subjects import Subjects
from infra.tide import Tide
from infra.webhooks.endpoints import Pinged, Seen
from projections.model import Project, Row
from projections.timeline import EntryFilter, Order, Place
from projections.views import Views
from services.activities import Activities
from services.consents import Consents
from services.customers import Customers
from services.erasures import Erasures
from services.exports import Exports
from services.holds import Holds
from services.lawfulness import Lawfulness
from services.leads import Leads
from services.members import Members
from services.ports import BlindIndex, Clock, EventStore, KeyRing, LogReader, Recorded, Unsealer
from services.privacyrequests import PrivacyRequests
from services.restrictions import Restrictions
from services.retention import Retentions
from services.subscribers import Subscribers
from services.tickets import Tickets
from services.unsealing import Unsealing
from services.webhooks import Webhooks

R = TypeVar("R", bound=Row)


class NameSearch(Protocol):
    """Finds records by name, in memory."""

    async def search(self, text: str, *, kind: str, limit: int) -> Sequence[UUID]:
        """Ids of the records of this kind (`customer`, ...) whose names contain the text, best first."""
        ...


class HistoryPage(Protocol):
    """Entries with the fields of `HistoryEntry`, where they go on, and whose values they show."""

    @property
    def entries(self) -> Sequence[Any]: ...

    @property
    def next(self) -> Place | None: ...

    @property
    def subjects(self) -> Set[UUID]: ...

    @property
    def categories(self) -> Set[Category]: ...


class Timeline(Protocol):
    """Reads histories, personal values unsealed, `Erased` or withheld."""

    async def page(
        self,
        where: EntryFilter,
        *,
        order: Order = ...,
        after: Place | None = ...,
        limit: int,
        grounded: bool = ...,
    ) -> HistoryPage:
        """The next of the events asked for. `grounded`: restricted values are shown, too."""
        ...

    async def differences(
        self, before: Row | None, after: Row | None, *, grounded: bool
    ) -> tuple[Sequence[Any], Set[UUID], Set[Category]]:
        """In what two states of a record differ; and whose values, of which categories, that shows."""
        ...


class Histories(Protocol):
    """Reads whole records from the log."""

    async def of(self, record_id: UUID) -> Sequence[Recorded]:
        """The record's events in order, personal fields sealed."""
        ...

    async def first(self, record_id: UUID) -> Recorded | None:
        """What the record began with."""
        ...

    async def as_of(
        self, project: Project[R], record_id: UUID, *, as_of: datetime | None, known_at: datetime | None
    ) -> R | None:
        """The record's row as it was then, as far as was known then; None where there was none yet."""
        ...


class Manifests(Protocol):
    """Knows how exports began and ended, and proves them."""

    async def history(self, export_id: UUID) -> tuple[Recorded, Recorded | None]:
        """How it began, and how it ended, if it did. Raises `RecordNotFound`."""
        ...

    async def manifest(self, export_id: UUID, *, patience: float) -> str | None:
        """The signed note; None while the tree does not cover it. Raises `RecordNotFound`, and `Refused`
        where there is nothing to prove."""
        ...


class Replays(Protocol):
    """Makes whole views as they were."""

    async def views(
        self,
        kinds: Sequence[str],
        as_of: datetime | None,
        known_at: datetime | None,
        progress: Callable[[int, int], None] = ...,
    ) -> Views:
        """The views of these kinds of record; `progress` is told the position reached, and that to reach."""
        ...


class UnusualAccesses(Protocol):
    """What was found unusual in the access log."""

    async def found(self, *, limit: int, before: int | None = None) -> Sequence[Any]:
        """Findings, the newest first, from the one before the number `before`."""
        ...


class WebhookDesk(Protocol):
    """Knows the webhooks and how delivery to them does. What names one raises `RecordNotFound`."""

    async def all(self) -> Sequence[Seen]:
        """Those that are not removed."""
        ...

    async def one(self, id: UUID) -> Seen: ...

    async def secret(self, id: UUID, version: int) -> str:
        """The secret that signs from that version of the webhook on."""
        ...

    async def ping(self, id: UUID) -> Pinged:
        """Send a test event, once."""
        ...


class Certificates(Protocol):
    """Issues certificates of erasures."""

    async def issue(self, erasure_id: UUID, *, patience: float = 5.0) -> str | None:
        """The signed note; None while the audit tree has not come to the erasure in that time (seconds)."""
        ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Everything a request may need. `ready` names what it checked: None for well, else what is wrong.

    `warnings` names what somebody should look at, though it serves."""

    namespace: str
    customers: Customers
    leads: Leads
    tickets: Tickets
    members: Members
    privacy_requests: PrivacyRequests
    dossiers: Sources
    erasures: Erasures
    restrictions: Restrictions
    activities: Activities
    lawfulness: Lawfulness
    consents: Consents
    retentions: Retentions
    retention: RetentionRunner
    holds: Holds
    subscribers: Subscribers
    unsealing: Unsealing
    dead_letters: DeadLetters
    store: EventStore
    reader: LogReader
    tide: Tide
    webhooks: Webhooks
    webhook_desk: WebhookDesk
    views: Views
    histories: Histories
    timeline: Timeline
    replays: Replays
    exports: Exports
    manifests: Manifests
    reports: ReportStore
    subjects: Subjects
    names: NameSearch
    unsealer: Unsealer
    ring: KeyRing
    blind: BlindIndex
    tokens: TokenStore
    clock: Clock
    trees: Mapping[str, AuditTree]
    bundles: Bundling
    ready: Callable[[], Awaitable[Mapping[str, str | None]]]
    warnings: Callable[[], Awaitable[Mapping[str, str]]]
    metrics: Callable[[], Awaitable[bytes]]
    ledger_fault: Callable[[], str | None]
    certificates: Certificates
    accesses: AccessLog
    contracts: Contracts
    unusual: UnusualAccesses
    shelf: Shelf
    patience_seconds: float = 5.0
    """How long a request may take to make a view of another time, before it becomes a report."""


async def of_request(request: Request) -> Dependencies:
    door: Dependencies = request.app.state.door
    return door


Door = Annotated[Dependencies, Depends(of_request)]
