"""The ledger beside its database: what is entered, and whether the two agree."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from domain.erasure.events import ErasureRequested
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
        fields = self._fields(request)
        mark = await asyncio.to_thread(self.file.enter, kind, request.originator_id, fields)
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(WRITTEN, [mark.number, mark.hash, mark.number])
        return mark

    def _fields(self, request: Recorded) -> Mapping[str, Any]:
        event, envelope = request.event, request.envelope
        assert isinstance(event, ErasureRequested)  # noqa: S101 - the saga enters nothing else
        return {
            "at": self._clock.now().isoformat(),
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
