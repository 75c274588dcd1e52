"""Keeps the views in this program's form: one of another form, or damaged by hand, is built anew beside.

A deployment with a changed projection needs nothing else: its projector finds the view in an earlier form,
builds it from the first event, and switches in one transaction; the earlier release goes on till then.
"""

import asyncio

import structlog

from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.postgres.views.standing import Standing, Standings, Superseded
from infra.postgres.views.store import SWITCH_LOCK
from infra.rebuild import Rebuilder, RebuildRunning

LOOK_SECONDS = 10.0
READY_SECONDS = 0.5
TO_BUILD = (Standing.AHEAD, Standing.DAMAGED)

log = structlog.get_logger(__name__)


class ViewKeeper:
    """Looks after the views of one database. Several may run: one at a time builds."""

    def __init__(
        self, pool: Pool, rebuilder: Rebuilder, standings: Standings, *, seconds: float = LOOK_SECONDS
    ) -> None:
        self.pool = pool
        self.rebuilder = rebuilder
        self.standings = standings
        self.seconds = seconds
        self._told: dict[str, Standing] = {}
        self._needed = asyncio.Event()

    async def look(self) -> dict[str, Standing]:
        """Hold the live tables against what is declared, and note what is wrong. Takes milliseconds."""
        with unavailable_on_outage():
            async with self.pool.connection() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SWITCH_LOCK])
                found = await self.standings.look(connection)
        self._tell(found)
        return found

    async def check(self) -> None:
        """Look, and raise `Superseded` where a later release has taken a view over."""
        behind = [view for view, it in (await self.look()).items() if it is Standing.BEHIND]
        if behind:
            raise Superseded(f"a later release has built {', '.join(behind)}")

    async def ready(self) -> None:
        """The same, once there is nothing left to build that an earlier release still keeps up.

        Fed from Kafka, whoever joins takes partitions over, and could not write that release's view.
        """
        while Standing.AHEAD in (await self.look()).values():  # noqa: ASYNC110 - another process may build it
            await asyncio.sleep(READY_SECONDS)
        await self.check()

    async def settle(self) -> list[str]:
        """Look, and build what is to be built; which views were."""
        built = []
        for view in [view for view, it in (await self.look()).items() if it in TO_BUILD]:
            try:
                await self.rebuilder.rebuild(view)
            except RebuildRunning:
                break  # somebody else is at it
            log.info("view_built", view=view)
            built.append(view)
        return built

    async def run(self, stop: asyncio.Event) -> None:
        """Settle now, every 10 seconds and when somebody's look found something, until `stop` is set."""
        while not stop.is_set():
            await self.settle()
            self._needed.clear()
            waiting = [asyncio.create_task(it.wait()) for it in (stop, self._needed)]
            await asyncio.wait(waiting, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            for it in waiting:
                it.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _tell(self, found: dict[str, Standing]) -> None:
        for view, standing in found.items():
            if standing is not self._told.get(view, Standing.LIVE):
                log.error("view_not_live", view=view, state=standing)
        self._told = found
        if set(found.values()) & set(TO_BUILD):
            self._needed.set()
