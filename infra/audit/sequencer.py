"""Makes a tree grow with its log, and keeps its checkpoints coming. One of a database's processes at a time.

Whoever goes on after a crash goes on from a whole tree, and the same log always makes the same tree. Where
log, tree and the checkpoints given out do not fit together, nothing grows and nothing is signed: a fork must
not be covered up.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, LiteralString

import structlog
from psycopg import AsyncConnection

from infra.audit.folder import FolderUnfit
from infra.audit.growing import Growth, TreeUnfit
from infra.audit.lease import AdvisoryLease
from infra.audit.leaves import LogDiffers, Source
from infra.audit.signing import Checkpointer
from infra.waiting import set_within_about
from services.ports import Unavailable

PACE_SECONDS: Final = 0.2
PATIENCE_SECONDS: Final = 0.5
STANDBY_SECONDS: Final = 1.0
FAULT_SECONDS: Final = 5.0
LOCKS: Final = {"log": 0x6C65_7468_6501, "access": 0x6C65_7468_6502}

# A batch that a crash takes back is made again just so: nobody waits for its disk.
LAZY: LiteralString = "SET synchronous_commit = off"
PUT_FAULT: LiteralString = """
INSERT INTO audit.trees AS it (log, size, position, root, fault) VALUES (%s, 0, 0, sha256(''), %s)
ON CONFLICT (log) DO UPDATE SET fault = excluded.fault WHERE it.fault IS DISTINCT FROM excluded.fault
"""

log = structlog.get_logger(__name__)


class Sequencer:
    """One log's. Of several, in this process or others, one works and the others stand by."""

    def __init__(
        self,
        source: Source,
        lease: AdvisoryLease,
        checkpointer: Checkpointer,
        *,
        growing: Callable[[Source], Growth] = Growth,
    ) -> None:
        self._source = source
        self._lease = lease
        self._checkpointer = checkpointer
        self._growing = growing

    async def run(self, stop: asyncio.Event) -> None:
        """Work, or stand by, until `stop` is set. A database that is away is waited for."""
        try:
            while not stop.is_set():
                await set_within_about(stop, await self._attempt(stop))
        finally:
            await self._lease.release()

    async def _attempt(self, stop: asyncio.Event) -> float:
        """Lead for as long as it goes well; the seconds to wait before the next attempt."""
        try:
            if await self._lease.acquire():
                await self._lead(stop)
            return STANDBY_SECONDS
        except Unavailable as error:
            log.warning("sequencer_waits", tree=self._source.log, error=type(error).__name__)
            pause = STANDBY_SECONDS
        except (TreeUnfit, LogDiffers, FolderUnfit) as error:
            # Again and again, until a person has mended it: /readyz says it too.
            log.error("tree_unfit", tree=self._source.log, error=type(error).__name__)
            pause = FAULT_SECONDS
        await self._lease.release()
        return pause

    async def _lead(self, stop: asyncio.Event) -> None:
        async with self._lease.connection() as connection:
            try:
                await connection.execute(LAZY)
                tree = self._growing(self._source)
                await tree.load(connection)
                # First as far as the log goes: a tree that is being made anew is behind what was signed.
                followed = await self._catch_up(connection, tree, stop)
                if stop.is_set():
                    return
                await self._checkpointer.check(connection, tree)
                await self._tell(connection, None)
                log.info("sequencer_leads", tree=self._source.log, size=tree.size)
                await self._follow(connection, tree, followed, stop)
            except (TreeUnfit, LogDiffers, FolderUnfit) as error:
                await self._tell(connection, str(error))
                raise

    async def _follow(
        self, connection: AsyncConnection[Any], tree: Growth, followed: int, stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            await connection.execute("SELECT 1")  # is the lease still held?
            await self._checkpointer.keep_up(connection, tree)
            # A pause first: in a trickle of events each would write the last tile anew.
            await set_within_about(stop, PACE_SECONDS)
            if not stop.is_set() and await self._source.wait(followed, PATIENCE_SECONDS):
                followed = await self._catch_up(connection, tree, stop)

    async def _catch_up(self, connection: AsyncConnection[Any], tree: Growth, stop: asyncio.Event) -> int:
        """Grow as far as the log goes now; the position up to which it was looked through."""
        horizon = await self._source.horizon()
        followed = tree.position
        while followed < horizon and not stop.is_set():
            whole = await tree.take(connection, horizon)
            followed = horizon if whole else tree.position
        return followed

    async def _tell(self, connection: AsyncConnection[Any], fault: str | None) -> None:
        await connection.execute(PUT_FAULT, [self._source.log, fault])
