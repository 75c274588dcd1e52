"""Signed checkpoints in PostgreSQL: stored once, cosigned by witnesses, handed on to places outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from infra.audit.note import Key, NoteUnverified, cosigned_at, parse_signature, split, with_signature
from infra.outage import unavailable_on_outage
from services.ports import Clock, Refused

Pool = AsyncConnectionPool[AsyncConnection[Any]]

CLOCK_SECONDS_APART_MAX: Final = 300
# One change at a time, so that their numbers rise in order of commit.
IN_ORDER: LiteralString = "LOCK TABLE audit.checkpoints IN SHARE ROW EXCLUSIVE MODE"
SELECT: LiteralString = "SELECT size, root, note, made_at, change FROM audit.checkpoints WHERE log = %s"
AT: LiteralString = SELECT + " AND size = %s"
LATEST: LiteralString = SELECT + " ORDER BY size DESC LIMIT 1"
COVERING: LiteralString = SELECT + " AND size > %s ORDER BY size LIMIT 1"
BELOW: LiteralString = SELECT + " AND size < %s ORDER BY size DESC LIMIT %s"
CHANGED: LiteralString = SELECT + " AND change > %s ORDER BY change LIMIT %s"
ADD: LiteralString = (
    "INSERT INTO audit.checkpoints (log, size, root, note, change)"
    " VALUES (%s, %s, %s, %s, nextval('audit.changes')) ON CONFLICT (log, size) DO NOTHING"
)
REPLACE: LiteralString = (
    "UPDATE audit.checkpoints SET note = %s, change = nextval('audit.changes') WHERE log = %s AND size = %s"
)


class CosignatureRefused(Refused):
    """This is no cosignature of this checkpoint by a witness that is known here."""


class CheckpointNotFound(Refused):
    """There is no checkpoint of this size."""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as it is kept: the note with all its signatures."""

    size: int
    root: bytes
    note: str
    made_at: datetime
    change: int


class PostgresCheckpoints:
    """One log's checkpoints."""

    def __init__(self, pool: Pool, log: str, witnesses: Sequence[Key], clock: Clock) -> None:
        self._pool = pool
        self._log = log
        self._clock = clock
        self.witnesses = witnesses

    async def latest(self) -> StoredCheckpoint | None:
        """The newest one; None before the first. Raises `Unavailable`, as do all of these."""
        return await self._one(LATEST, self._log)

    async def at(self, size: int) -> StoredCheckpoint | None:
        """The one of this size, if it was signed."""
        return await self._one(AT, self._log, size)

    async def covering(self, index: int) -> StoredCheckpoint | None:
        """The smallest one that the leaf at this index is under."""
        return await self._one(COVERING, self._log, index)

    async def below(self, size: int, limit: int) -> list[StoredCheckpoint]:
        """Those smaller than this, the newest first."""
        return await self._some(BELOW, self._log, size, limit)

    async def changed(self, after: int, limit: int) -> list[StoredCheckpoint]:
        """Those made or cosigned after this change, in order of change."""
        return await self._some(CHANGED, self._log, after, limit)

    async def cosign(self, size: int, line: str) -> StoredCheckpoint:
        """Add a witness's signature line (C2SP cosignature/v1). The same again changes nothing.

        Raises `CheckpointNotFound` or `CosignatureRefused`.
        """
        with unavailable_on_outage():
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(IN_ORDER)
                found = await _found(connection, AT, self._log, size)
                if not found:
                    raise CheckpointNotFound(f"{self._log} {size}")
                cosigned = with_signature(found[0].note, self._checked(found[0].note, line))
                if cosigned != found[0].note:
                    await connection.execute(REPLACE, [cosigned, self._log, size])
                [stored] = await _found(connection, AT, self._log, size)
        return stored

    def _checked(self, note: str, line: str) -> str:
        try:
            signature = parse_signature(line)
            known = [it for it in self.witnesses if it.signed(signature)]
            for key in known:
                key.check(split(note)[0], signature)
            ahead = cosigned_at(signature) - self._clock.now().timestamp()
        except NoteUnverified as error:
            raise CosignatureRefused(self._log, f"{error}.".capitalize()) from None
        if not known:
            raise CosignatureRefused(self._log, "No witness of this key is known here.")
        if ahead > CLOCK_SECONDS_APART_MAX:
            raise CosignatureRefused(self._log, "It was made in the future.")
        return signature.line

    async def _one(self, query: LiteralString, *values: Any) -> StoredCheckpoint | None:
        found = await self._some(query, *values)
        return found[0] if found else None

    async def _some(self, query: LiteralString, *values: Any) -> list[StoredCheckpoint]:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                return await _found(connection, query, *values)


async def add(connection: AsyncConnection[Any], log: str, size: int, root: bytes, note: str) -> None:
    """Store a checkpoint that was just signed, durably; one of this size that is there stays."""
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        await connection.execute(IN_ORDER)
        await connection.execute(ADD, [log, size, root, note])


async def _found(
    connection: AsyncConnection[Any], query: LiteralString, *values: Any
) -> list[StoredCheckpoint]:
    async with connection.cursor(row_factory=class_row(StoredCheckpoint)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
