"""Holds the database to its erasure ledger: one from before an erasure serves nobody until that is applied.

A line of the ledger is carried out once the log says so and the fence is up. Lines up to a mark in the
database are known to be; the few after it are looked at often, all of them when a server starts, and hourly.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, LiteralString
from uuid import UUID, uuid5

import structlog

from domain.model import Category
from domain.values import ErasureGround
from infra.ledger import Kind, LedgerFile, LedgerUnfit, Line, Mark
from infra.ledgerkeeping import KeptLedger, check_head, read_head
from infra.outage import unavailable_on_outage
from infra.postgres.advisory import advisory_lock
from infra.postgres.database import Pool
from services.erasures import EraserKeyRing, Erasures
from services.ports import NOTHING_STANDS, CommandContext

LOOK_SECONDS = 30.0
LOOK_SECONDS_BEHIND = 1.0
LOOK_TWICE_SECONDS = 0.5
LOOK_AT_ALL_SECONDS = 3600.0
PAGE_LINES = 5_000
BEGINNING = Mark(-1, "", 0)
APPLY_LOCK = 0x6C657468650007
REASON = "Applied again from the erasure ledger."

IN_LOG: LiteralString = """
SELECT originator_id, topic FROM log.events
WHERE originator_id = ANY (%s) AND topic IN ('erasure.requested', 'subject.erased')
"""
SETTLE: LiteralString = """
UPDATE ledger.head SET settled_number = %s, settled_hash = %s, settled_offset = %s WHERE settled_number < %s
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """An erasure as the ledger has it."""

    erasure_id: UUID
    subject_id: UUID
    categories: frozenset[Category]
    ground: ErasureGround
    requested_at: datetime
    at: datetime
    event_id: UUID
    correlation_id: UUID
    actor: str

    @classmethod
    def of(cls, line: Line) -> "Entry":
        fields = line.fields
        return cls(
            erasure_id=line.erasure_id,
            subject_id=UUID(fields["subject_id"]),
            categories=frozenset(map(Category, fields["categories"])),
            ground=ErasureGround(fields["ground"]),
            requested_at=datetime.fromisoformat(fields["requested_at"]),
            at=datetime.fromisoformat(fields["at"]),
            event_id=UUID(fields["event_id"]),
            correlation_id=UUID(fields["correlation_id"]),
            actor=fields["actor"],
        )

    def request(self) -> CommandContext:
        """The command that once asked for it, as far as the ledger knows it."""
        return CommandContext(
            command_id=uuid5(self.event_id, "ledger"),
            request_digest=self.erasure_id.bytes,
            actor=self.actor,
            occurred_at=self.requested_at,
            correlation_id=self.correlation_id,
            reason=REASON,
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """What a look found: `missing` is not in this database, `under_way` is requested and not yet done."""

    missing: Sequence[Entry]
    under_way: Sequence[Entry]
    lines: int

    @property
    def fault(self) -> str | None:
        if not self.missing:
            return None
        return f"the database is older than its erasure ledger: {len(self.missing)} erasures to apply again"


class LedgerGuard:
    """Compares, applies what is missing, and says (`fault`) whether this process may serve."""

    def __init__(self, pool: Pool, ledger: KeptLedger, ring: EraserKeyRing, erasures: Erasures) -> None:
        self.fault: str | None = None
        self._pool = pool
        self._file: LedgerFile = ledger.file
        self._ring = ring
        self._erasures = erasures
        self._turn = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then until `stop` is set, and apply at once whatever is missing."""
        looked_at_all = time.monotonic()
        while not stop.is_set():
            everything = time.monotonic() - looked_at_all > LOOK_AT_ALL_SECONDS
            if everything:
                looked_at_all = time.monotonic()
            await self.apply(everything=everything)
            pause = LOOK_SECONDS if self.fault is None else LOOK_SECONDS_BEHIND
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look(self, *, everything: bool = False, starting: bool = False) -> Compared:
        """Compare, and set `fault`; settles what is carried out. Raises `Unavailable`.

        A line that the database does not know of, though it has the request, is some process's work of this
        very moment, or of a database from before that moment: who is `starting` looks twice to tell.
        """
        async with self._turn:
            try:
                compared = await self._compare(everything=everything, starting=starting)
                if starting and compared.fault:
                    await asyncio.sleep(LOOK_TWICE_SECONDS)
                    compared = await self._compare(everything=everything, starting=True)
            except LedgerUnfit as error:
                self.fault = str(error)
                return Compared((), (), 0)
            self.fault = compared.fault
            return compared

    async def apply(
        self,
        progress: Callable[[int, int], None] = lambda done, total: None,
        *,
        everything: bool = False,
        starting: bool = False,
    ) -> int:
        """Carry out again what is missing; how many erasures that were. Then the process may serve."""
        done = 0
        while True:
            compared = await self.look(everything=everything, starting=starting)
            if not compared.missing:
                return done
            async with advisory_lock(self._pool, APPLY_LOCK) as mine:
                if mine:
                    log.warning("database_behind_ledger", erasures=len(compared.missing))
                    for number, entry in enumerate(compared.missing, start=1):
                        await self._apply(entry)
                        progress(number, len(compared.missing))
                    done += len(compared.missing)
                else:
                    await asyncio.sleep(LOOK_SECONDS_BEHIND)  # another process is at it

    async def _apply(self, entry: Entry) -> None:
        # The line stands, so no hold stood when it was written: those of an older database are older.
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute("SELECT keys.release_all(%s)", [entry.subject_id])
        await self._erasures.repeat(
            id=entry.erasure_id,
            erased_subject_id=entry.subject_id,
            ground=entry.ground,
            categories=entry.categories,
            context=entry.request(),
            erased_at=entry.at,
        )

    async def _compare(self, *, everything: bool, starting: bool) -> Compared:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                head = await read_head(connection)
        if head is None:
            raise LedgerUnfit("the database knows of no erasure ledger: start again")
        await asyncio.to_thread(check_head, self._file, head)
        after: Mark | None = None if everything else head.settled
        found = _Found(after or BEGINNING, head.written[0] if starting else None)
        lines = self._file.after(after)
        while page := await asyncio.to_thread(lambda: list(islice(lines, PAGE_LINES))):
            await self._judge(page, found)
        await self._settle(found.settled)
        return Compared(
            [it for it, _ in found.missing.values()], [it for it, _ in found.under_way.values()], found.lines
        )

    async def _judge(self, page: Sequence[Line], found: "_Found") -> None:
        erased = [line for line in page if line.fields.get("kind") == Kind.ERASED]
        entries = {line.mark.number: Entry.of(line) for line in erased}
        standings = await self._ring.standings({it.subject_id for it in entries.values()})
        topics = await self._topics([it.erasure_id for it in entries.values()])
        for line in page:
            entry = entries.get(line.mark.number)
            if entry is None:
                found.pass_by(line)
                continue
            known = topics.get(entry.erasure_id, frozenset())
            fenced = standings.get(entry.subject_id, NOTHING_STANDS).has_lost(entry.categories)
            if fenced and "subject.erased" in known:
                found.pass_by(line)
            elif "erasure.requested" in known and "subject.erased" not in known:
                found.keep(entry, line, requested=True)
            else:
                found.keep(entry, line, requested=False)

    async def _topics(self, erasure_ids: Sequence[UUID]) -> Mapping[UUID, frozenset[str]]:
        if not erasure_ids:
            return {}
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                rows = await (await connection.execute(IN_LOG, [list(erasure_ids)])).fetchall()
        topics: dict[UUID, frozenset[str]] = {}
        for erasure_id, topic in rows:
            topics[erasure_id] = topics.get(erasure_id, frozenset()) | {topic}
        return topics

    async def _settle(self, mark: Mark) -> None:
        if mark is BEGINNING:
            return
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                values = [mark.number, mark.hash, mark.offset, mark.number]
                moved = await connection.execute(SETTLE, values)
        if moved.rowcount:
            await asyncio.to_thread(self._file.go_on_from, mark)


class _Found:
    """What a walk through the ledger has found so far, and up to where all is carried out."""

    def __init__(self, start: Mark, written: int | None) -> None:
        self.missing: dict[UUID, tuple[Entry, Mark]] = {}
        self.under_way: dict[UUID, tuple[Entry, Mark]] = {}
        self.lines = 0
        self._written = written
        self._last = start

    def pass_by(self, line: Line) -> None:
        """A line that asks for nothing: carried out, the first, or one that takes an earlier one back."""
        self._next(line)
        if line.fields.get("kind") == Kind.HELD:
            self.missing.pop(line.erasure_id, None)
            self.under_way.pop(line.erasure_id, None)

    def keep(self, entry: Entry, line: Line, *, requested: bool) -> None:
        """A line that is not carried out; `_last` is the mark before it."""
        unknown = self._written is not None and line.mark.number > self._written
        where = self.under_way if requested and not unknown else self.missing
        where.setdefault(entry.erasure_id, (entry, self._last))
        self._next(line)

    def _next(self, line: Line) -> None:
        self._last = line.mark
        self.lines += 1

    @property
    def settled(self) -> Mark:
        """The mark before the first line that is not carried out; the last one, where all are."""
        open_ = [mark for _, mark in (*self.missing.values(), *self.under_way.values())]
        return min(open_, key=_number, default=self._last)


def _number(mark: Mark) -> int:
    return mark.number


def described(compared: Compared) -> Mapping[str, Any]:
    """The look as a document."""
    return {"lines": compared.lines, "missing": len(compared.missing), "under_way": len(compared.under_way)}
