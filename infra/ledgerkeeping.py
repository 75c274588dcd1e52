"""The ledger beside its database: what is entered, and whether the two agree."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from eventsourcing.persistence import Notification
from psycopg import AsyncConnection

from domain.erasure.events import ErasureRequested
from infra.eventstore.mapper import EventMapper
from infra.ledger import Kind, LedgerFile, LedgerUnfit, Mark
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from services.ports import Clock, Recorded

WRITTEN = """
UPDATE ledger.head SET written_number = %s, written_hash = %s WHERE written_number < %s
"""
HEAD = """
SELECT ledger_id, written_number, written_hash, settled_number, settled_hash, settled_offset FROM ledger.head
"""
FOUND = """
INSERT INTO ledger.head VALUES (true, %(id)s, %(number)s, %(hash)s, %(number)s, %(hash)s, %(offset)s)
ON CONFLICT DO NOTHING
"""
ANY_ERASED = "SELECT EXISTS (SELECT FROM log.events WHERE topic = 'subject.erased')"
ERASED: LiteralString = """
SELECT request.originator_id, request.originator_version, request.topic, request.state, request.position,
       done.originator_id, done.originator_version, done.topic, done.state, done.position
FROM log.events AS request JOIN log.events AS done USING (originator_id)
WHERE request.topic = 'erasure.requested' AND done.topic = 'subject.erased' ORDER BY done.position
"""
REPLACED: LiteralString = """
INSERT INTO ledger.head VALUES (true, %(id)s, %(last)s, %(hash)s, %(number)s, %(first)s, %(offset)s)
ON CONFLICT (only_row) DO UPDATE SET
    ledger_id = excluded.ledger_id, written_number = excluded.written_number,
    written_hash = excluded.written_hash, settled_number = excluded.settled_number,
    settled_hash = excluded.settled_hash, settled_offset = excluded.settled_offset
"""
REBUILD = "if it is lost for good, `lethe ledger rebuild` makes a new one from what the log still knows"


class KeptLedger:
    """Implements `services.erasures.ErasureLedger` with a file, whose last line the database knows."""

    def __init__(self, file: LedgerFile, pool: Pool, clock: Clock) -> None:
        self.file = file
        self._pool = pool
        self._clock = clock

    async def enter(self, request: Recorded) -> str:
        return (await self._write(Kind.ERASED, request)).hash

    async def retract(self, request: Recorded) -> None:
        await self._write(Kind.HELD, request)

    async def _write(self, kind: Kind, request: Recorded) -> Mark:
        fields = entry_of(request, self._clock.now())
        mark = await asyncio.to_thread(self.file.enter, kind, request.originator_id, fields)
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(WRITTEN, [mark.number, mark.hash, mark.number])
        return mark


def entry_of(request: Recorded, at: datetime) -> Mapping[str, Any]:
    """What a line says of an erasure beside its id: enough to carry it out again."""
    event, envelope = request.event, request.envelope
    assert isinstance(event, ErasureRequested)  # noqa: S101 - the saga enters nothing else
    return {
        "at": at.isoformat(),
        "subject_id": str(event.erased_subject_id),
        "categories": list(event.categories),
        "ground": event.ground,
        "requested_at": event.timestamp.isoformat(),
        "event_id": str(envelope.event_id),
        "correlation_id": str(envelope.correlation_id),
        "actor": envelope.actor,
    }


@dataclass(frozen=True, slots=True)
class Head:
    """What the database knows of its ledger."""

    ledger_id: UUID
    written: tuple[int, str]
    settled: Mark


async def open_ledger(pool: Pool, path: Path, *, namespace: str, clock: Clock) -> KeptLedger:
    """The ledger of this database; begun where neither knows of an erasure yet.

    Raises `LedgerUnfit` where it is missing, another's, changed, or an older copy than the database knows.
    """
    file = LedgerFile(path)
    with unavailable_on_outage():
        async with pool.connection() as connection:
            head = await read_head(connection)
            if head is None:
                head = await _found(connection, file, namespace, clock.now())
    await asyncio.to_thread(check_head, file, head)
    await asyncio.to_thread(file.go_on_from, head.settled)
    return KeptLedger(file, pool, clock)


async def read_head(connection: AsyncConnection[Any]) -> Head | None:
    """What the database knows; None before it ever had a ledger."""
    row = await (await connection.execute(HEAD)).fetchone()
    if row is None:
        return None
    ledger_id, number, digest, *settled = row
    return Head(ledger_id, (number, digest), Mark(*settled))


async def _found(connection: AsyncConnection[Any], file: LedgerFile, namespace: str, now: datetime) -> Head:
    if not file.path.exists():
        erased = await (await connection.execute(ANY_ERASED)).fetchone()
        if erased == (True,):
            raise LedgerUnfit(f"there is no erasure ledger {file.path}, but the log has erasures: {REBUILD}")
        await asyncio.to_thread(file.begin, namespace, now)
    if file.first()["namespace"] != namespace:
        raise LedgerUnfit(f"the erasure ledger {file.path} is not of the namespace {namespace!r}")
    line = next(iter(file.after(None)))
    mark = line.mark
    values = {
        "id": file.first()["ledger_id"],
        "number": mark.number,
        "hash": mark.hash,
        "offset": mark.offset,
    }
    await connection.execute(FOUND, values)
    head = await read_head(connection)  # another process may have been first
    assert head is not None  # noqa: S101 - it was written just now
    return head


def check_head(file: LedgerFile, head: Head) -> None:
    """Whether the file is this database's ledger, and no older than it knows. Raises `LedgerUnfit`."""
    if UUID(file.first()["ledger_id"]) != head.ledger_id:
        raise LedgerUnfit(f"the erasure ledger {file.path} is not this database's")
    last = head.settled.number, head.settled.hash
    for line in file.after(head.settled) if last != head.written else ():
        last = line.mark.number, line.mark.hash
        if last == head.written:
            break
    if last != head.written:
        raise LedgerUnfit(
            f"the erasure ledger {file.path} is older than its database, which knows of line"
            f" {head.written[0]}: put the present one there; {REBUILD}"
        )


async def rebuild_ledger(pool: Pool, path: Path, *, namespace: str, mapper: EventMapper, clock: Clock) -> int:
    """A new ledger from the erasures that the log still knows, in place of a lost or broken one; how many.

    What is there is kept beside it. Raises `LedgerUnfit` where that still knows more than the log does.
    """
    with unavailable_on_outage():
        async with pool.connection() as connection:
            rows = await (await connection.execute(ERASED)).fetchall()
            read = mapper.to_domain_event
            erased = [(read(Notification(*row[:5])), read(Notification(*row[5:]))) for row in rows]
            known = {str(request.originator_id) for request, _ in erased}
            await asyncio.to_thread(_set_aside, path, known, clock.now())
            file = LedgerFile(path)
            first, last = await asyncio.to_thread(_write_again, file, namespace, erased, clock.now())
            values = {"id": file.first()["ledger_id"], "last": last.number, "hash": last.hash}
            values |= {"number": first.number, "first": first.hash, "offset": first.offset}
            await connection.execute(REPLACED, values)
    return len(erased)


def _set_aside(path: Path, known: Collection[str], now: datetime) -> None:
    if not path.exists():
        return
    try:
        entered = {line.fields.get("erasure_id") for line in LedgerFile(path).after(None)} - {None}
    except LedgerUnfit:
        entered = set()  # broken: what it says counts no more
    if unknown := entered - set(known):
        raise LedgerUnfit(
            f"the erasure ledger {path} knows of {len(unknown)} erasures that the log does not:"
            " apply them with `lethe ledger apply`, or move the file away first"
        )
    path.rename(path.with_name(f"{path.name}.{now:%Y%m%dT%H%M%S}"))


def _write_again(
    file: LedgerFile, namespace: str, erased: Iterable[tuple[Recorded, Recorded]], now: datetime
) -> tuple[Mark, Mark]:
    file.begin(namespace, now)
    first = last = next(iter(file.after(None))).mark
    for request, done in erased:
        last = file.enter(Kind.ERASED, request.originator_id, entry_of(request, done.event.timestamp))
    return first, last
