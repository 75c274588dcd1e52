"""Gathers everything that is held about a person (GDPR, articles 15 and 20), a page of it at a time.

What is sealed under somebody else's key is theirs, and is left out; so are legal holds, which serve legal
claims (articles 15(4) and 23(1)(j)), and who of the staff did or saw something (Court of Justice, C-579/21).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from domain.export.events import ExportMade
from domain.model import Category
from infra.accesslog import AccessFilter, AccessStore
from infra.dossier import notice
from infra.dossier.opening import Fields, Opening
from projections.model import Row
from projections.privacy import PrivacyRequestFilter
from projections.rights import ActivityFilter, ConsentFilter, RetentionFilter
from projections.subscribers import SubscriberFilter, SubscriberRow
from projections.timeline import EntryFilter, Place, SubjectRecord
from projections.views import Views
from services.erasures import SubjectNotFound
from services.ports import Clock, KeyRing, Recorded, Unavailable, Unsealer

FORMAT: Final = "lethe/dossier/1"
ENTRIES_PAGE: Final = 2_000
EVENTS_PAGE: Final = 250
ROWS_PAGE: Final = 200
BEHIND_SECONDS_MAX: Final = 5.0
ROWS_MAX: Final = 1_000
LEFT_OUT: Final = frozenset({"hold"})
RECORD_TIMELINE: Final = "record-timeline"
R = TypeVar("R", bound=Row)


class Form(StrEnum):
    """All that is held (article 15), or what the person provided, for another controller (article 20)."""

    ACCESS = "access"
    PORTABILITY = "portability"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the dossier: a `value`; or, where it may be long, `items` that come as they are asked for."""

    name: str
    value: Any = None
    items: AsyncIterator[dict[str, Any]] | None = None


class LogEnd(Protocol):
    """Knows how far the log has come."""

    async def last(self) -> int:
        """The highest position of a stored event."""
        ...


class EventReader(Protocol):
    """Reads events by where they are."""

    async def at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The events at these positions, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a dossier is gathered from. `streams`: the Kafka topics, where there is a Kafka.

    `personal` and `public` take an event's fields out of it, known to this release or not.
    """

    namespace: str
    clock: Clock
    ring: KeyRing
    unsealer: Unsealer
    views: Views
    log: LogEnd
    events: EventReader
    accesses: AccessStore
    personal: Fields
    public: Fields
    streams: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose dossier, in which form, and for which privacy request. `id` is the dossier's own."""

    id: UUID
    subject_id: UUID
    form: Form = Form.ACCESS
    request_id: UUID | None = None


async def open_dossier(sources: Sources, asked: Asked) -> "Dossier":
    """The dossier, of which only the list of records is read yet.

    Raises `SubjectNotFound`; and `Unavailable` where the views do not show yet what the log holds: it would
    not be everything.
    """
    covered = await sources.log.last()
    if not await sources.views.wait_for(covered, BEHIND_SECONDS_MAX):
        raise Unavailable("the views are behind the log: what is held is not all to be seen yet")
    records = await sources.views.timeline.records(asked.subject_id)
    if not records:
        raise SubjectNotFound(asked.subject_id)
    return Dossier(sources, asked, covered, [it for it in records if it.kind not in LEFT_OUT])


class Dossier:
    """One person's dossier. Its sections are gone through once, each to its end before the next.

    `events`: how many events it showed so far. `covered_position`: the log up to there is looked at.
    """

    def __init__(
        self, sources: Sources, asked: Asked, covered_position: int, records: Sequence[SubjectRecord]
    ) -> None:
        self.asked = asked
        self.covered_position = covered_position
        self.events = 0
        self.records = records
        self._sources = sources
        self._records = 0
        self._whole = asked.form is Form.ACCESS
        self._opening = Opening(
            asked.subject_id,
            sources.unsealer,
            sources.ring,
            personal=sources.personal,
            public=sources.public,
            provided=asked.form is Form.PORTABILITY,
        )

    async def sections(self) -> AsyncIterator[Section]:
        """In the order of the document. Raises `KeyLost`, `Tampered` or `Unavailable`."""
        yield Section("dossier", await self._head())
        if self._whole:
            yield Section("processing", await self._processing())
            yield Section("retention", await self._retention())
            yield Section("requests", await self._requests())
        yield Section("consents", await self._consents())
        yield Section("records", items=self._current())
        yield Section("history", items=self._history())
        if self._whole:
            yield Section("exports", items=self._exports())
            yield Section("accesses", items=self._accesses())
        yield Section("end", {"records": self._records, "events": self.events})

    async def _head(self) -> dict[str, Any]:
        standing = await self._opening.standing()
        return {
            "format": FORMAT,
            "id": self.asked.id,
            "form": self.asked.form,
            "made_at": self._sources.clock.now(),
            "namespace": self._sources.namespace,
            "subject_id": self.asked.subject_id,
            "request_id": self.asked.request_id,
            "erased": standing.erased,
            "erased_categories": sorted(Category if standing.erased else standing.erased_categories),
            "restricted": standing.restricted,
            "rights": notice.RIGHTS,
            "automated_decisions": notice.AUTOMATED,
        }

    async def _processing(self) -> dict[str, Any]:
        """Purposes, bases, sources and recipients: article 15(1)(a), (c) and (g)."""
        views = self._sources.views
        activities = await _every(partial(views.rights.list_activities, ActivityFilter(living=True)))
        erasures = await views.directory.erasures_of(self.asked.subject_id)
        living = await _every(partial(views.subscribers.list_subscribers, SubscriberFilter(living=True)))
        names = (
            "code", "name", "description", "lawful_basis", "categories", "recipients", "third_countries",
            "safeguards", "retention",
        )  # fmt: skip
        return {
            "activities": [_named(it, *names) for it in activities],
            "recipients": [it for row in sorted(living, key=lambda it: it.name) for it in _recipient(row)],
            "streams": sorted(self._sources.streams),
            "subscribers": sorted({name for it in erasures for name in it.acknowledged_by}),
        }

    async def _retention(self) -> list[dict[str, Any]]:
        """How long which data of which records is kept: article 15(1)(d)."""
        kinds = {it.kind for it in self.records}
        living = RetentionFilter(living=True)
        policies = await _every(partial(self._sources.views.rights.list_policies, living))
        names = ("kind", "category", "days", "after", "legal_reason")
        return [_named(it, *names) for it in policies if it.kind in kinds]

    async def _consents(self) -> list[dict[str, Any]]:
        where = ConsentFilter(subject_id=self.asked.subject_id)
        names = (
            "purpose", "channel", "state", "wording_version", "source", "given_at", "expires_on", "ended_at",
        )  # fmt: skip
        consents = await _every(partial(self._sources.views.rights.list_consents, where))
        return [_named(it, *names) for it in consents]

    async def _requests(self) -> list[dict[str, Any]]:
        where = PrivacyRequestFilter(subject_id=self.asked.subject_id)
        now = self._sources.clock.now()
        names = ("id", "kind", "received_on", "due_on", "state", "refusal_ground", "closed_at")
        requests = await _every(partial(self._sources.views.privacy.list_requests, where, at=now))
        return [_named(it, *names) for it in requests]

    async def _current(self) -> AsyncIterator[dict[str, Any]]:
        """Each record as things stand; of one that no view shows, that there is one."""
        views = self._sources.views
        readers: dict[str, Any] = {
            "customer": views.directory.customers,
            "lead": views.pipeline.leads,
            "member": views.directory.members,
            "ticket": views.tickets.tickets,
        }
        for kind in sorted({it.kind for it in self.records}):
            ids = [it.id for it in self.records if it.kind == kind]
            for start in range(0, len(ids), ROWS_PAGE):
                page = ids[start : start + ROWS_PAGE]
                if kind in readers:
                    shown = await self._opening.rows(kind, await readers[kind](page))
                else:
                    shown = [{"id": id, "kind": kind, "facts": {}, "personal": {}} for id in page]
                for it in shown:
                    self._records += 1
                    yield it

    async def _history(self) -> AsyncIterator[dict[str, Any]]:
        """Every event that names the person, in order: what was known when, and why."""
        after, kept = 0, {it.id for it in self.records}
        index = self._sources.views.timeline
        while entries := await index.entries(self.asked.subject_id, limit=ENTRIES_PAGE, after=after):
            after = entries[-1].position
            positions = [it.position for it in entries if it.originator_id in kept]
            entries.clear()
            for start in range(0, len(positions), EVENTS_PAGE):
                history = await self._sources.events.at(positions[start : start + EVENTS_PAGE])
                for event in await self._opening.events(history):
                    self.events += 1
                    yield event

    async def _exports(self) -> AsyncIterator[dict[str, Any]]:
        """The exports that held the person's data, and those of many people that may have."""
        made = EntryFilter(topics={ExportMade.TOPIC}, position_max=self.covered_position)
        after = Place(min(it.first_position for it in self.records)) if self.records else Place(0)
        index = self._sources.views.timeline
        while entries := await index.find(made, limit=ENTRIES_PAGE, after=after):
            after = Place(entries[-1].position)
            for recorded in await self._sources.events.at([it.position for it in entries]):
                event = recorded.event
                if isinstance(event, ExportMade) and (held := self._held_by(event)) is not None:
                    yield {
                        "id": event.originator_id,
                        "what": event.what,
                        "held": held,
                        "made_at": recorded.envelope.recorded_at,
                        "purpose": recorded.envelope.purpose,
                    }

    def _held_by(self, export: ExportMade) -> str | None:
        if export.exported_subject_id is not None:
            return "the person" if export.exported_subject_id == self.asked.subject_id else None
        if export.what == RECORD_TIMELINE:
            return "the person" if export.filters.get("id") in {str(it.id) for it in self.records} else None
        return "many people"

    async def _accesses(self) -> AsyncIterator[dict[str, Any]]:
        """When whose data was shown, what for, and which: not to whom of the staff, but to which system."""
        where, before = AccessFilter(subject_id=self.asked.subject_id), None
        while kept := await self._sources.accesses.find(where, limit=ROWS_MAX, before=before):
            systems = await self._sources.views.subscribers.names({it.access.actor for it in kept})
            for it in kept:
                shown = _named(it.access, "at", "operation", "purpose", "ground", "categories", "export_id")
                yield shown | {"subscriber": systems.get(it.access.actor)}
            before = (kept[-1].batch, kept[-1].line)


def _recipient(row: SubscriberRow) -> list[dict[str, Any]]:
    """What a subscriber may open, by purpose."""
    purposes = dict.fromkeys(it["purpose"] for it in row.grants)
    return [
        {
            "name": row.name,
            "purpose": purpose,
            "categories": [it["category"] for it in row.grants if it["purpose"] == purpose],
        }
        for purpose in purposes
    ]


def _named(it: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(it, name) for name in names}


async def _every(page: Callable[..., Awaitable[Sequence[R]]]) -> list[R]:
    """All rows of a list in order of id, asked for a page at a time: none is left out for its length."""
    found: list[R] = []
    while True:
        rows = await page(limit=ROWS_MAX, after=found[-1].id if found else None)
        found += rows
        if len(rows) < ROWS_MAX:
            return found
