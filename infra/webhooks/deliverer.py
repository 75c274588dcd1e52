"""A member of the group that sends webhooks: it takes its share of the endpoints, and gives up what is more.

Any number of processes may be members. One that dies is noticed by its connection, and the others take what
it had. Whoever joins gets a share within seconds.
"""

import asyncio
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final, Protocol
from uuid import UUID, uuid5

import structlog

from domain.webhook.events import ParkCause
from infra.tide import Tide
from infra.waiting import set_within
from infra.webhooks.endpoints import Endpoint, EndpointState
from infra.webhooks.lease import GroupLease
from infra.webhooks.reach import Reach
from infra.webhooks.sending import Sender
from infra.webhooks.session import IN_FLIGHT_MAX, RecordReader, Session
from infra.webhooks.store import WebhookStore
from services.ports import Clock, CommandContext, LogReader, Unavailable
from services.webhooks import Webhooks

ACTOR: Final = "lethe-webhooks"
LOOK_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class FollowedLog(LogReader, RecordReader, Protocol):
    """What is sent is read from here."""


@dataclass(slots=True)
class _Held:
    endpoint: Endpoint
    session: Session
    task: asyncio.Task[None]


class Deliverer:
    """Sends to its share of the endpoints. `sending` are those it sends to just now."""

    def __init__(
        self,
        lease: GroupLease,
        store: WebhookStore,
        webhooks: Webhooks,
        reader: FollowedLog,
        reach: Reach,
        clock: Clock,
        namespace: str,
    ) -> None:
        self._lease, self._store, self._webhooks, self._reader = lease, store, webhooks, reader
        self._reach, self._clock, self._namespace = reach, clock, namespace
        self._held: dict[UUID, _Held] = {}
        self._cleared: set[UUID] = set()

    @property
    def sending(self) -> frozenset[UUID]:
        """The endpoints that are this member's."""
        return frozenset(self._held)

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set. A database that is away is waited for."""
        while not stop.is_set():
            tide = Tide(self._reader)
            try:
                await self._lease.join()
                await self._share(tide, stop)
            except Unavailable:
                log.warning("webhooks_wait", sending=len(self._held))
            finally:
                await self._end(list(self._held))
                tide.close()
                await self._lease.leave()
            await set_within(stop, PAUSE_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _share(self, tide: Tide, stop: asyncio.Event) -> None:
        while not stop.is_set():
            endpoints = await self._store.endpoints()
            active = {id: it for id, it in endpoints.items() if it.state is EndpointState.ACTIVE}
            self._report()
            await self._give_up([id for id in self._held if not self._goes_on(id, active)])
            share = ceil(len(active) / await self._lease.members())
            await self._give_up(list(self._held)[share:])
            await self._take_more(active, share, tide)
            await self._clear([id for id, it in endpoints.items() if it.state is EndpointState.REMOVED])
            await set_within(stop, LOOK_SECONDS)

    def _goes_on(self, id: UUID, active: Mapping[UUID, Endpoint]) -> bool:
        held = self._held[id]
        return id in active and active[id].version == held.endpoint.version and not held.task.done()

    def _report(self) -> None:
        """Say of what failed why; it is begun again."""
        for id, it in self._held.items():
            if it.task.done() and not it.task.cancelled() and (error := it.task.exception()) is not None:
                log.warning("webhook_interrupted", webhook=id, exc_info=error)

    async def _give_up(self, ids: Collection[UUID]) -> None:
        await self._end(ids)
        for id in ids:
            await self._lease.let_go(id)

    async def _end(self, ids: Collection[UUID]) -> None:
        ending = [self._held.pop(id) for id in ids]
        for it in ending:
            it.session.end()
        await asyncio.gather(*(it.task for it in ending), return_exceptions=True)

    async def _take_more(self, active: Mapping[UUID, Endpoint], share: int, tide: Tide) -> None:
        free = [id for id in active if id not in self._held]
        random.shuffle(free)
        for id in free:
            if len(self._held) >= share:
                return
            if await self._lease.take(id):
                self._begin(active[id], tide)

    def _begin(self, endpoint: Endpoint, tide: Tide) -> None:
        sender = Sender(self._reach, endpoint.url, connections=IN_FLIGHT_MAX)
        session = Session(
            endpoint,
            self._store.secrets,
            self._namespace,
            lease=self._lease,
            tide=tide,
            records=self._reader,
            post=sender,
            clock=self._clock,
            park=self._park,
        )
        task = asyncio.create_task(_run(session, sender), name=f"webhook {endpoint.id}")
        self._held[endpoint.id] = _Held(endpoint, session, task)

    async def _park(self, endpoint: Endpoint, cause: ParkCause) -> None:
        # Of where it last began: to park it again after somebody resumed it is another command.
        command_id = uuid5(endpoint.id, f"park/{endpoint.revived}")
        context = CommandContext(
            command_id=command_id,
            request_digest=b"park",
            actor=ACTOR,
            occurred_at=self._clock.now(),
            correlation_id=command_id,
        )
        await self._webhooks.park(id=endpoint.id, cause=cause, context=context)
        log.warning("webhook_parked", webhook=endpoint.id, cause=cause)

    async def _clear(self, removed: Collection[UUID]) -> None:
        """What is kept of removed endpoints goes, once nobody sends to them any more."""
        for id in set(removed) - self._cleared:
            if await self._lease.take(id):
                await self._lease.clear([id])
                await self._lease.let_go(id)
                self._cleared.add(id)


async def _run(session: Session, sender: Sender) -> None:
    try:
        await session.run()
    finally:
        await sender.close()
