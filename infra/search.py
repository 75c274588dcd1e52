"""Search by name, in memory only: an SQLite FTS5 index of trigrams that each process builds from the log.

Names are personal: they are opened to be indexed, never written to disk, and dropped once their subject is
erased. What is found is checked against the key ring, which knows of an erasure before the index does.
"""

import asyncio
import sqlite3
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import structlog

from domain.customer.events import (
    ContactAdded,
    ContactChanged,
    ContactRemoved,
    CustomerRegistered,
    CustomerRenamed,
)
from domain.erasure.events import SubjectErased
from domain.lead.events import LeadCaptured
from domain.member.events import MemberRegistered
from domain.model import Category, Erased, Event, Sealed
from infra.logging import place_of_error
from infra.undecoded import Decoder, TolerantDecoder, Undecoded
from projections.model import Personal
from projections.timeline import kind_of
from services.ports import (
    NOTHING_STANDS,
    KeyLost,
    KeyRing,
    LogReader,
    Recorded,
    Standing,
    Tampered,
    Unavailable,
    Unsealer,
)

log = structlog.get_logger(__name__)

NAMING = (
    CustomerRegistered,
    CustomerRenamed,
    ContactAdded,
    ContactChanged,
    ContactRemoved,
    LeadCaptured,
    MemberRegistered,
    SubjectErased,
)
TOPICS = frozenset(it.TOPIC for it in NAMING)
PAGE_EVENTS = 2_000
POLL_SECONDS = 0.5
GATHER_SECONDS = 0.25
AGAIN_SECONDS = 30.0
TRIGRAM = 3
ORGANISATION = "organisation"
RANKED_MAX = 2_000
"""So many matches are put in order, at some 1.5 us each; of a word that even more names contain, no more."""

Name = tuple[UUID, str, UUID, Personal]
"""Record, which of its names, whose it is, and the name; None takes the name away."""

Match = tuple[UUID, UUID, str]
"""Record, whose the name is, and which of the record's names."""

SCHEMA = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, kind TEXT, record BLOB, slot TEXT, subject BLOB, UNIQUE (record, slot)
);
CREATE INDEX by_subject ON entries (subject);
CREATE VIRTUAL TABLE names USING fts5 (name, tokenize = 'trigram');
"""


class NameIndex:
    """Finds customers, their contacts, leads and members by parts of their names. For one event loop."""

    def __init__(self, reader: LogReader, mapper: Decoder, unsealer: Unsealer, ring: KeyRing) -> None:
        self.reader = reader
        self.mapper = TolerantDecoder(mapper)
        self.unsealer = unsealer
        self.ring = ring
        self.position = 0
        self.built = False
        self._closed: dict[tuple[UUID, str], tuple[str, Name]] = {}
        """Names that do not open, and of what kind of record, by record and slot."""
        self._again_at = 0.0
        self._turn = asyncio.Lock()
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA temp_store = MEMORY; {SCHEMA}")

    @property
    def size(self) -> int:
        """How many names there are."""
        ((count,),) = self._database.execute("SELECT count(*) FROM entries")
        return int(count)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the log until `stop` is set."""
        while not stop.is_set():
            await self._catch_up()
            self.built = True
            await self._try_again()
            if await self.reader.wait(self.position, POLL_SECONDS):
                # Not event by event beside every write: a search catches up by itself.
                await asyncio.sleep(GATHER_SECONDS)

    async def search(self, text: str, *, kind: str, limit: int) -> list[UUID]:
        """Ids of the records of this kind whose names contain every word of the text, best first.

        Capitals and accents don't count. As new as the log. Raises `Unavailable` until it is built.
        """
        if not self.built:
            raise Unavailable("the names are still being read")
        await self._catch_up()
        found: dict[UUID, None] = {}
        step, offset = 4 * limit, 0
        while len(found) < limit:
            page = self._matches(text, kind, step, offset)
            # A few at a time: mostly the first are enough, and asking for all takes longer than finding them.
            for start in range(0, len(page), limit):
                if len(found) < limit:
                    found |= dict.fromkeys(await self._living(page[start : start + limit]))
            if len(page) < step:
                break
            offset += step
        return list(found)[:limit]

    async def _living(self, matches: Sequence[Match]) -> list[UUID]:
        """The records of those names that are not erased."""
        standings = await self.ring.standings({subject_id for _, subject_id, _ in matches})
        return [
            record_id
            for record_id, subject_id, slot in matches
            if not _is_gone(slot, standings.get(subject_id, NOTHING_STANDS))
        ]

    def _matches(self, text: str, kind: str, limit: int, offset: int) -> list[Match]:
        words = plain(text).split()
        if not words:
            return []
        conditions, values = ["entries.kind = ?"], [kind]
        if phrases := [word for word in words if len(word) >= TRIGRAM]:
            conditions.append("names MATCH ?")
            values.append(" AND ".join('"' + phrase.replace('"', '""') + '"' for phrase in phrases))
        for word in words:
            if len(word) < TRIGRAM:
                conditions.append("instr(names.name, ?)")
                values.append(word)
        whole = " ".join(words)
        # The conditions are the clauses above: what was asked for comes as values only.
        matching = (
            "SELECT entries.record, entries.subject, entries.slot, entries.number, names.name FROM names "  # noqa: S608
            "JOIN entries ON entries.number = names.rowid WHERE " + " AND ".join(conditions) + " LIMIT ?"
        )
        records = self._database.execute(
            f"SELECT record, subject, slot FROM ({matching}) "  # noqa: S608  the same
            "ORDER BY name <> ?, instr(name, ?) <> 1, length(name), number LIMIT ? OFFSET ?",
            [*values, RANKED_MAX, whole, whole, limit, offset],
        )
        return [(UUID(bytes=record), UUID(bytes=subject), slot) for record, subject, slot in records]

    async def _catch_up(self) -> None:
        async with self._turn:
            while page := await self.reader.read(self.position, PAGE_EVENTS):
                await self._index(
                    [
                        recorded.event
                        for it in page
                        if it.topic in TOPICS and _is_read(recorded := self.mapper.to_domain_event(it))
                    ]
                )
                self.position = page[-1].id

    async def _index(self, events: Sequence[Event]) -> None:
        names = [list(_names(event)) for event in events]
        handles = [name for of_event in names for *_, name in of_event if isinstance(name, Sealed)]
        opened = await self._opened(handles)
        with self._database:
            self._database.execute("BEGIN")
            for event, of_event in zip(events, names, strict=True):
                if isinstance(event, SubjectErased) and event.covers(Category.IDENTITY):
                    # An organisation's name is nobody's: it stays unless all of the subject goes.
                    kept = ORGANISATION if event.categories else ""
                    self._drop("subject = ? AND slot <> ?", event.erased_subject_id.bytes, kept)
                for name in of_event:
                    self._name(kind_of(event.TOPIC), name, opened)

    def _name(self, kind: str, named: Name, opened: Mapping[Sealed, str | Erased]) -> None:
        """What the record's slot is called from now on."""
        record_id, slot, subject_id, name = named
        self._drop("record = ? AND slot = ?", record_id.bytes, slot)
        self._closed.pop((record_id, slot), None)
        clear = opened.get(name) if isinstance(name, Sealed) else name
        if isinstance(clear, str):
            self._enter(kind, record_id, slot, subject_id, clear)
        elif clear is None and name is not None:
            self._closed[record_id, slot] = kind, named

    async def _opened(self, handles: Sequence[Sealed]) -> Mapping[Sealed, str | Erased]:
        """Those that open. A lost key must not keep the other names from being found."""
        try:
            return await self.unsealer.open(handles)
        except (KeyLost, Tampered) as error:
            if len(handles) == 1:
                log.error("name_not_opened", subject=handles[0].subject_id, error=type(error).__name__)
                return {}
        middle = len(handles) // 2
        return {**await self._opened(handles[:middle]), **await self._opened(handles[middle:])}

    async def _try_again(self) -> None:
        """The names that did not open, now and then: the key store may be back."""
        now = time.monotonic()
        if not self._closed or now < self._again_at:
            return
        self._again_at = now + AGAIN_SECONDS
        async with self._turn:
            closed = list(self._closed.values())
            handles = [name for _, (*_, name) in closed if isinstance(name, Sealed)]
            opened = await self._opened(handles)
            with self._database:
                self._database.execute("BEGIN")
                for kind, named in closed:
                    self._name(kind, named, opened)

    def _enter(self, kind: str, record_id: UUID, slot: str, subject_id: UUID, name: str) -> None:
        cursor = self._database.execute(
            "INSERT INTO entries (kind, record, slot, subject) VALUES (?, ?, ?, ?)",
            [kind, record_id.bytes, slot, subject_id.bytes],
        )
        self._database.execute(
            "INSERT INTO names (rowid, name) VALUES (?, ?)", [cursor.lastrowid, plain(name)]
        )

    def _drop(self, condition: str, *values: bytes | str) -> None:
        numbers = self._database.execute(
            f"DELETE FROM entries WHERE {condition} RETURNING number",  # noqa: S608  a constant above
            values,
        ).fetchall()
        self._database.executemany("DELETE FROM names WHERE rowid = ?", numbers)


def _is_read(recorded: Recorded) -> bool:
    """Whether the event could be read; what could not is said once, and left out."""
    if not isinstance(recorded, Undecoded):
        return True
    error, place = place_of_error(recorded.error)
    log.error("event_not_read", record=recorded.originator_id, error=error, where=place)
    return False


def _is_gone(slot: str, standing: Standing) -> bool:
    """Whether a name in this slot is erased; an organisation's goes only with everything of its record."""
    return standing.erased or (slot != ORGANISATION and Category.IDENTITY in standing.erased_categories)


def plain(text: str) -> str:
    """The text without what a search passes over: capitals, accents, control characters, runs of spaces."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    kept = (
        it if unicodedata.category(it)[0] != "C" else " " for it in apart if not unicodedata.combining(it)
    )
    return " ".join("".join(kept).split())


def _names(event: Event) -> Iterator[Name]:
    """What the event says about names. An organisation's is public, and found under its record's subject."""
    match event:
        case CustomerRegistered() | CustomerRenamed() | LeadCaptured():
            yield event.originator_id, "name", event.subject_id, event.name
            yield event.originator_id, ORGANISATION, event.subject_id, event.organisation
        case ContactAdded() | ContactChanged():
            yield event.originator_id, f"contact {event.contact_id}", event.contact_id, event.name
        case ContactRemoved():
            yield event.originator_id, f"contact {event.contact_id}", event.contact_id, None
        case MemberRegistered():
            yield event.originator_id, "name", event.subject_id, event.name
