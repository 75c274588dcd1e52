"""The views in memory, for fast tests: rows in dictionaries, totals in loops."""

import asyncio
import statistics
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from domain.erasure.events import SubjectErased
from domain.model import Category, Sealed
from domain.values import Money, Priority, Stage, TicketStatus
from infra.memory.privacy import MemoryPrivacyRequests
from infra.memory.rights import MemoryRights
from infra.memory.subscribers import MemorySubscribers
from projections import directory, pipeline, privacy, rights, subscribers, tickets
from projections.analytics import (
    BacklogPoint,
    CycleTime,
    Every,
    Funnel,
    Spread,
    TicketTimes,
    WinRate,
    WinRateBy,
    backlog,
    funnel,
    points,
    win_rates,
)
from projections.directory import (
    ContactDetail,
    CustomerFilter,
    CustomerRow,
    DirectoryRow,
    ErasureRow,
    Found,
    MemberFilter,
    MemberRow,
    canonical,
    contact_details,
)
from projections.model import Head, Headed, Heads, Row, head_of
from projections.pipeline import LeadFilter, LeadRow, StageTotal, total
from projections.tickets import Queue, TicketFilter, TicketRow
from projections.timeline import (
    Effect,
    Entry,
    EntryFilter,
    Order,
    Place,
    SubjectRecord,
    entry,
    kind_of,
    place_of,
)
from services.ports import BlindIndex, KeyRing, Recorded, Unsealer

R = TypeVar("R", bound=Row)
UNRESOLVED = (TicketStatus.OPEN, TicketStatus.WAITING)
CLOSED = (Stage.WON, Stage.LOST)


class MemoryViews:
    """Implements `projections.views.Views`, and keeps them in step as `PostgresViewStore` does."""

    def __init__(self, unsealer: Unsealer, blind: BlindIndex, ring: KeyRing) -> None:
        self._unsealer = unsealer
        self._blind = blind
        self._ring = ring
        self._positions: dict[str, int] = {}
        self._moved = asyncio.Condition()
        self.rows_of_directory: dict[UUID, DirectoryRow] = {}
        self.rows_of_pipeline: dict[UUID, LeadRow] = {}
        self.rows_of_tickets: dict[UUID, TicketRow] = {}
        self.rows_of_timeline: dict[int, Entry] = {}
        self.blind_index: dict[tuple[UUID, UUID, ContactDetail], bytes] = {}
        self.directory = MemoryDirectory(self, blind)
        self.pipeline = MemoryPipeline(self)
        self.privacy = MemoryPrivacyRequests()
        self.rights = MemoryRights()
        self.subscribers = MemorySubscribers(self.rows_of_directory)
        self.tickets = MemoryTickets(self)
        self.analytics = MemoryAnalytics(self)
        self.timeline = MemoryTimelineIndex(self)

    async def tracked(self, source: str) -> int:
        return self._positions.get(source, 0)

    async def apply(self, batch: Sequence[Recorded], source: str) -> None:
        for recorded in batch:
            directory.project(self.rows_of_directory, recorded)
            pipeline.project(self.rows_of_pipeline, recorded)
            tickets.project(self.rows_of_tickets, recorded)
            privacy.project(self.privacy.rows, recorded)
            rights.project(self.rights.rows, recorded)
            subscribers.project(self.subscribers.rows, recorded)
            self.rows_of_timeline.setdefault(recorded.position, entry(recorded))
            await self._index(recorded)
        async with self._moved:
            self._positions[source] = max(self._positions.get(source, 0), batch[-1].position)
            self._moved.notify_all()

    async def _index(self, recorded: Recorded) -> None:
        if isinstance(recorded.event, SubjectErased) and recorded.event.covers(Category.CONTACT):
            await self.purge(recorded.event.erased_subject_id)
        row = self.rows_of_directory.get(recorded.originator_id)
        if row is None:
            return
        for key in [key for key in self.blind_index if key[0] == row.id]:
            del self.blind_index[key]
        details = contact_details(row)
        opened = await self._unsealer.open([it for it in details.values() if isinstance(it, Sealed)])
        erased = await self._ring.erased({subject_id for subject_id, _ in details})
        for (subject_id, detail), handle in details.items():
            clear = opened[handle] if isinstance(handle, Sealed) else None
            if isinstance(clear, str) and subject_id not in erased:
                digest = self._blind.digest(detail, canonical(detail, clear))
                self.blind_index[row.id, subject_id, detail] = digest

    def head(self, row: CustomerRow | LeadRow) -> Head:
        """Which record, and how far it and its owner are."""
        owner = None if row.owner_id is None else self.rows_of_directory.get(row.owner_id)
        return head_of(row.id, row.version, owner.version if isinstance(owner, MemberRow) else None)

    async def purge(self, subject_id: UUID) -> None:
        """Implements `services.ports.IndexPurger`."""
        for key in [key for key in self.blind_index if key[1] == subject_id]:
            del self.blind_index[key]

    async def reached(self, position: int) -> bool:
        return position in self.rows_of_timeline or position <= self._positions.get("log", 0)

    async def wait_for(self, position: int, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout), self._moved:
                while not await self.reached(position):
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True


class MemoryDirectory:
    """Implements `projections.directory.Directory`."""

    def __init__(self, views: MemoryViews, blind: BlindIndex) -> None:
        self._views = views
        self._blind = blind

    def _all(self, kind: type[R]) -> list[R]:
        return [row for row in self._views.rows_of_directory.values() if isinstance(row, kind)]

    async def customer(self, id: UUID) -> CustomerRow | None:
        return _one(self._all(CustomerRow), id)

    async def customers(self, ids: Sequence[UUID]) -> list[CustomerRow]:
        return _many(self._all(CustomerRow), ids)

    async def list_customers(
        self, where: CustomerFilter, *, limit: int, after: UUID | None = None
    ) -> list[CustomerRow]:
        def passes(row: CustomerRow) -> bool:
            return _equal(row, where, "kind", "owner_id", "country", "sector", "segment", "archived") and (
                where.tag is None or where.tag in row.tags
            )

        return _page(filter(passes, self._all(CustomerRow)), limit, after)

    async def customers_of(self, subject_ids: Collection[UUID]) -> list[CustomerRow]:
        found = [row for row in self._all(CustomerRow) if row.subject_id in subject_ids]
        return deepcopy(sorted(found, key=lambda row: row.id))

    async def customer_heads(self, where: CustomerFilter, *, limit: int, after: UUID | None = None) -> Heads:
        rows = await self.list_customers(where, limit=limit, after=after)
        return Heads(None, [self._views.head(row) for row in rows])

    async def headed_customers(self, ids: Sequence[UUID]) -> list[Headed[CustomerRow]]:
        return [Headed(None, self._views.head(row), row) for row in await self.customers(ids)]

    async def member(self, id: UUID) -> MemberRow | None:
        return _one(self._all(MemberRow), id)

    async def members(self, ids: Sequence[UUID]) -> list[MemberRow]:
        return _many(self._all(MemberRow), ids)

    async def list_members(
        self, where: MemberFilter, *, limit: int, after: UUID | None = None
    ) -> list[MemberRow]:
        def passes(row: MemberRow) -> bool:
            return _equal(row, where, "team", "office") and where.present in (None, row.left_at is None)

        return _page(filter(passes, self._all(MemberRow)), limit, after)

    async def lookup(self, detail: ContactDetail, value: str) -> list[Found]:
        wanted = self._blind.digest(detail, canonical(detail, value))
        found = [
            Found(subject_id, record_id)
            for (record_id, subject_id, kind), digest in self._views.blind_index.items()
            if (kind, digest) == (detail, wanted)
        ]
        return sorted(found, key=lambda it: (it.record_id, it.subject_id))

    async def erasure(self, id: UUID) -> ErasureRow | None:
        return _one(self._all(ErasureRow), id)

    async def erasures_of(self, subject_id: UUID) -> list[ErasureRow]:
        found = [row for row in self._all(ErasureRow) if row.erased_subject_id == subject_id]
        return deepcopy(sorted(found, key=lambda row: row.position))

    async def erased(self, subject_ids: Collection[UUID]) -> AbstractSet[UUID]:
        wholly = [row for row in self._all(ErasureRow) if row.erased_at is not None and not row.categories]
        done = {row.erased_subject_id for row in wholly}
        return done.intersection(subject_ids)


class MemoryPipeline:
    """Implements `projections.pipeline.Pipeline`."""

    def __init__(self, views: MemoryViews) -> None:
        self._views = views

    def passing(self, where: LeadFilter) -> list[LeadRow]:
        members = (row for row in self._views.rows_of_directory.values() if isinstance(row, MemberRow))
        here = {row.id for row in members if row.office == where.region}

        def passes(row: LeadRow) -> bool:
            return (
                _equal(row, where, "stage", "owner_id", "product", "campaign", "source", "country",
                       "customer_id", "currency")
                and (where.region is None or row.owner_id in here)
                and _within(row.captured_at, where.captured_from, where.captured_until)
                and _within(row.closed_at, where.closed_from, where.closed_until)
            )  # fmt: skip

        return [row for row in self._views.rows_of_pipeline.values() if passes(row)]

    async def lead(self, id: UUID) -> LeadRow | None:
        return deepcopy(self._views.rows_of_pipeline.get(id))

    async def leads(self, ids: Sequence[UUID]) -> list[LeadRow]:
        return _many(self._views.rows_of_pipeline.values(), ids)

    async def lead_heads(self, where: LeadFilter, *, limit: int, after: UUID | None = None) -> Heads:
        rows = await self.list_leads(where, limit=limit, after=after)
        return Heads(None, [self._views.head(row) for row in rows])

    async def headed_leads(self, ids: Sequence[UUID]) -> list[Headed[LeadRow]]:
        return [Headed(None, self._views.head(row), row) for row in await self.leads(ids)]

    async def list_leads(self, where: LeadFilter, *, limit: int, after: UUID | None = None) -> list[LeadRow]:
        return _page(self.passing(where), limit, after)

    async def totals(self, where: LeadFilter) -> list[StageTotal]:
        rows = self.passing(where)
        return [StageTotal(stage, *_sums(row for row in rows if row.stage is stage)) for stage in Stage]


class MemoryTickets:
    """Implements `projections.tickets.Tickets`."""

    def __init__(self, views: MemoryViews) -> None:
        self._views = views

    def passing(self, where: TicketFilter, at: datetime) -> list[TicketRow]:
        def passes(row: TicketRow) -> bool:
            return (
                _equal(row, where, "team", "agent_id", "status", "priority", "line", "customer_id",
                       "product", "channel")
                and where.unresolved in (None, row.status in UNRESOLVED)
                and where.unassigned in (None, row.agent_id is None)
                and where.breached in (None, row.breached(at))
            )  # fmt: skip

        return [row for row in self._views.rows_of_tickets.values() if passes(row)]

    async def ticket(self, id: UUID) -> TicketRow | None:
        return deepcopy(self._views.rows_of_tickets.get(id))

    async def tickets(self, ids: Sequence[UUID]) -> list[TicketRow]:
        return _many(self._views.rows_of_tickets.values(), ids)

    async def list_tickets(
        self, where: TicketFilter, *, at: datetime, limit: int, after: UUID | None = None
    ) -> list[TicketRow]:
        return _page(self.passing(where, at), limit, after)

    async def queues(self, where: TicketFilter, *, at: datetime) -> list[Queue]:
        teams: dict[str | None, list[TicketRow]] = defaultdict(list)
        for row in self.passing(where, at):
            if row.status in UNRESOLVED:
                teams[row.team].append(row)
        return [
            Queue(
                team=team,
                open=sum(row.status is TicketStatus.OPEN for row in rows),
                waiting=sum(row.status is TicketStatus.WAITING for row in rows),
                unassigned=sum(row.agent_id is None for row in rows),
                breached=sum(row.breached(at) for row in rows),
                oldest_opened_at=min(row.opened_at for row in rows),
            )
            for team, rows in sorted(teams.items(), key=lambda it: (it[0] is None, it[0] or ""))
        ]


class MemoryAnalytics:
    """Implements `projections.analytics.Analytics`."""

    def __init__(self, views: MemoryViews) -> None:
        self._views = views

    async def funnel(self, where: LeadFilter) -> Funnel:
        return funnel(Counter((row.furthest, row.stage) for row in self._views.pipeline.passing(where)))

    async def cycle_time(self, where: LeadFilter) -> CycleTime:
        rows = self._views.pipeline.passing(where)

        def spread(stage: Stage) -> Spread:
            return _spread(_since(row.captured_at, row.closed_at) for row in rows if row.stage is stage)

        return CycleTime(won=spread(Stage.WON), lost=spread(Stage.LOST))

    async def win_rate(self, by: WinRateBy, where: LeadFilter) -> list[WinRate]:
        keys: dict[WinRateBy, Callable[[LeadRow], object]] = {
            WinRateBy.AGENT: lambda row: row.owner_id,
            WinRateBy.PRODUCT: lambda row: row.product,
            WinRateBy.ACCOUNT: lambda row: row.customer_id,
        }
        groups: dict[tuple[str | None, Stage, str | None], list[LeadRow]] = defaultdict(list)
        for row in self._views.pipeline.passing(where):
            if row.stage in CLOSED:
                key = keys[by](row)
                groups[None if key is None else str(key), row.stage, row.currency].append(row)
        return win_rates((*group, len(rows), _sum(rows)) for group, rows in groups.items())

    async def ticket_times(self, where: TicketFilter, *, at: datetime) -> list[TicketTimes]:
        rows = self._views.tickets.passing(where, at)

        def times(priority: Priority | None, rows: Sequence[TicketRow]) -> TicketTimes:
            return TicketTimes(
                priority,
                _spread(_since(row.opened_at, row.first_response_at) for row in rows),
                _spread(_since(row.opened_at, row.resolved_at) for row in rows),
            )

        found = [(key, [row for row in rows if row.priority is key]) for key in Priority]
        return [times(None, rows), *(times(key, of_key) for key, of_key in found if of_key)]

    async def backlog(
        self, where: TicketFilter, *, every: Every, since: datetime, until: datetime
    ) -> list[BacklogPoint]:
        at = points(every, since, until)
        bounds = [since, *at]
        spans = [span for row in self._views.tickets.passing(where, until) for span in row.unresolved]
        opened = Counter(bisect_right(bounds, span.since) for span in spans)
        resolved = Counter(bisect_right(bounds, span.until) for span in spans if span.until is not None)
        return backlog(at, opened, resolved)


class MemoryTimelineIndex:
    """Implements `projections.timeline.TimelineIndex`."""

    def __init__(self, views: MemoryViews) -> None:
        self._views = views

    async def find(
        self, where: EntryFilter, *, order: Order = Order.POSITION, limit: int, after: Place | None = None
    ) -> list[Entry]:
        passing = [it for it in self._views.rows_of_timeline.values() if _tells(it, where)]
        ordered = sorted(passing, key=lambda it: _place(place_of(it, order)))
        return [it for it in ordered if after is None or _place(place_of(it, order)) > _place(after)][:limit]

    async def effects(self, event_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Effect]]:
        found: dict[UUID, list[Effect]] = defaultdict(list)
        for _, it in sorted(self._views.rows_of_timeline.items()):
            if it.causation_id is not None and it.causation_id in event_ids:
                found[it.causation_id].append(it.effect)
        return found

    async def entries(self, subject_id: UUID, *, limit: int, after: int = 0) -> list[Entry]:
        return await self.find(EntryFilter(subject_id=subject_id), limit=limit, after=Place(after))

    async def records(self, subject_id: UUID) -> Sequence[SubjectRecord]:
        first: dict[UUID, SubjectRecord] = {}
        for it in self._naming(subject_id):
            first.setdefault(
                it.originator_id, SubjectRecord(it.originator_id, kind_of(it.topic), it.position)
            )
        return list(first.values())

    def _naming(self, subject_id: UUID) -> list[Entry]:
        return [it for _, it in sorted(self._views.rows_of_timeline.items()) if subject_id in it.subjects]


def _tells(entry: Entry, where: EntryFilter) -> bool:
    return (
        where.record_id in (None, entry.originator_id)
        and (where.subject_id is None or where.subject_id in entry.subjects)
        and where.actor in (None, entry.actor)
        and (where.position_max is None or entry.position <= where.position_max)
        and where.on_behalf_of in (None, entry.on_behalf_of)
        and (where.topics is None or entry.topic in where.topics)
        and _within(entry.recorded_at, where.recorded_from, where.recorded_until)
        and _within(entry.occurred_at, where.occurred_from, where.occurred_until)
    )


def _place(place: Place) -> tuple[float, int]:
    return (place.moment.timestamp() if place.moment else 0.0, place.position)


def _one(rows: Iterable[R], id: UUID) -> R | None:
    return deepcopy(next((row for row in rows if row.id == id), None))


def _many(rows: Iterable[R], ids: Sequence[UUID]) -> list[R]:
    found = {row.id: row for row in rows}
    return deepcopy([found[id] for id in ids if id in found])


def _page(rows: Iterable[R], limit: int, after: UUID | None) -> list[R]:
    above = [row for row in rows if after is None or row.id > after]
    return deepcopy(sorted(above, key=lambda row: row.id)[:limit])


def _equal(row: object, where: object, *names: str) -> bool:
    return all(getattr(where, name) in (None, getattr(row, name)) for name in names)


def _within(moment: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    return moment is not None and (since is None or moment >= since) and (until is None or moment < until)


def _sum(rows: Iterable[LeadRow]) -> Decimal | None:
    values = [row.value for row in rows if row.value is not None]
    return sum(values, Decimal(0)) if values else None


def _sums(rows: Iterable[LeadRow]) -> tuple[int, tuple[Money, ...]]:
    found = list(rows)
    currencies = sorted({row.currency for row in found if row.currency is not None and row.value is not None})
    sums = ((_sum(row for row in found if row.currency == it), it) for it in currencies)
    return len(found), tuple(total(value, currency) for value, currency in sums if value is not None)


def _since(start: datetime, end: datetime | None) -> timedelta | None:
    return None if end is None else end - start


def _spread(times: Iterable[timedelta | None]) -> Spread:
    seconds = sorted(it.total_seconds() for it in times if it is not None)
    if not seconds:
        return Spread(0, None, None, None)
    return Spread(
        len(seconds), _percentile(seconds, 0.5), _percentile(seconds, 0.9), statistics.fmean(seconds)
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
