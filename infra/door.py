"""What the HTTP door stands on, put together from the system."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from infra import status
from infra.auditing import bundling_of
from infra.bootstrap import System
from infra.contracts.contracts import Contracts
from infra.ending import ended
from infra.history.manifests import Manifests
from infra.history.replay import Replays
from infra.http.dependencies import Dependencies
from infra.http.shelf import Shelf
from infra.kafka.record import STREAMS
from infra.metrics import metrics
from infra.postgres.reports import PostgresReports
from infra.search import NameIndex
from infra.stateforms import SCHEMAS
from infra.supervision import supervise
from infra.tide import Tide
from infra.timeline import Histories, Timeline


@asynccontextmanager
async def door_of(system: System, stop: asyncio.Event) -> AsyncIterator[Dependencies]:
    """The door, with an index of names in this process's memory that follows the log while it is open."""
    await system.guard.look(everything=True, starting=True)
    names = NameIndex(system.reader, system.mapper, system.unsealer, system.ring)
    histories = Histories(system.reader, system.mapper, system.snapshots)
    following = asyncio.create_task(supervise("names", lambda: names.run(stop), stop), name="names")
    tide = Tide(system.reader)
    ebbing = asyncio.create_task(_close_at(stop, tide), name="tide closes")
    guarding = asyncio.create_task(supervise("ledger", lambda: system.guard.run(stop), stop), name="ledger")
    try:
        yield Dependencies(
            namespace=system.settings.namespace,
            customers=system.customers,
            leads=system.leads,
            tickets=system.tickets,
            members=system.members,
            privacy_requests=system.privacy_requests,
            dossiers=system.dossiers,
            erasures=system.erasures,
            restrictions=system.restrictions,
            activities=system.activities,
            lawfulness=system.lawfulness,
            consents=system.consents,
            retentions=system.retentions,
            retention=system.retention,
            holds=system.holds,
            subscribers=system.subscribers,
            unsealing=system.unsealing,
            dead_letters=system.dead_letters,
            store=system.store,
            reader=system.reader,
            tide=tide,
            webhooks=system.webhooks,
            webhook_desk=system.webhook_desk,
            views=system.views,
            histories=histories,
            timeline=Timeline(histories, system.views.timeline, system.unsealer, system.ring),
            replays=Replays(
                system.reader,
                system.mapper,
                system.snapshots,
                system.unsealer,
                system.blind,
                system.ring,
            ),
            reports=PostgresReports(system.pool),
            exports=system.exports,
            manifests=Manifests(system.reader, system.mapper, system.tree),
            subjects=system.subjects,
            names=names,
            unsealer=system.unsealer,
            ring=system.ring,
            blind=system.blind,
            tokens=system.tokens,
            clock=system.clock,
            trees=system.trees,
            bundles=bundling_of(system),
            ready=partial(status.checks, system),
            warnings=partial(status.warnings, system),
            metrics=partial(metrics, system),
            ledger_fault=lambda: system.guard.fault,
            certificates=system.certificates,
            accesses=system.accesses,
            contracts=Contracts(STREAMS, list(SCHEMAS.values()), system.settings.namespace),
            unusual=system.watch,
            shelf=Shelf(system.settings.key_cache_seconds),
        )
    finally:
        tide.close()
        await ended(following, guarding, ebbing)


async def _close_at(stop: asyncio.Event, tide: Tide) -> None:
    """Who follows the feed is let go before the server waits for its answers to end."""
    await stop.wait()
    tide.close()
