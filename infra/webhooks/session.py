"""Sends the log to one endpoint: each aggregate's events in order, several aggregates at a time.

An event that does not arrive blocks the later ones of its aggregate; the others go on, until too many are
blocked: then the endpoint waits. What is remembered is a cursor and the blocked ones, so that whoever goes on
after a crash sends a few events again and leaves out none.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from eventsourcing.persistence import Notification

from domain.webhook.events import ParkCause
from infra import json
from infra.cloudevents import Wanted, cloud_event
from infra.ending import ended
from infra.tide import Tide
from infra.waiting import set_within
from infra.webhooks.answers import GONE, OVERLOADED, Answer
from infra.webhooks.endpoints import Endpoint
from infra.webhooks.lanes import QUEUED_MAX, Blocked, Lanes
from infra.webhooks.lease import GroupLease, Standings
from infra.webhooks.schedule import AGAIN_AFTER, is_over, next_attempt
from infra.webhooks.signing import signed
from services.ports import Clock

IN_FLIGHT_MAX: Final = 8
RETRIES_IN_FLIGHT_MAX: Final = 4
"""So that those that hang leave room for those that do not."""
BLOCKED_MAX: Final = 100
WINDOW: Final = 128
PAGE: Final = 128
SAVE_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0
END_SECONDS_MAX: Final = 5.0

log = structlog.get_logger(__name__)


class Post(Protocol):
    """Sends, such as `infra.webhooks.sending.Sender`."""

    async def post(self, headers: dict[str, str], body: bytes) -> Answer: ...


class RecordReader(Protocol):
    """Reads the events of records, such as `FencedReader`."""

    async def between(self, ranges: Sequence[tuple[UUID, int, int]]) -> Sequence[Notification]: ...


Park = Callable[[Endpoint, ParkCause], Awaitable[None]]
SecretsOf = Callable[[UUID, Sequence[int]], Awaitable[Sequence[bytes]]]


class Session:
    """One endpoint's delivery while this process has it. Raises `Unavailable`, in a group."""

    def __init__(
        self,
        endpoint: Endpoint,
        secrets_of: SecretsOf,
        namespace: str,
        *,
        lease: GroupLease,
        tide: Tide,
        records: RecordReader,
        post: Post,
        clock: Clock,
        park: Park,
        chance: random.Random | None = None,
    ) -> None:
        self._endpoint, self._secrets_of, self._namespace = endpoint, secrets_of, namespace
        self._secrets: dict[int, bytes] = {}
        self._lease, self._tide, self._records, self._post = lease, tide, records, post
        self._clock, self._park = clock, park
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._lanes = Lanes(Wanted(frozenset(endpoint.types)), 0, ())
        self._attempts: set[asyncio.Task[None]] = set()
        self._retrying = 0
        self._moved = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._room = asyncio.Event()
        self._pause_until: datetime | None = None
        self._last: Answer | None = None
        self._tried_at: datetime | None = None
        self._arrived_at: datetime | None = None
        self._ending = False
        self._park_for: ParkCause | None = None

    async def run(self) -> None:
        """Send until told to `end`, or until the endpoint is parked."""
        now, id = self._clock.now(), self._endpoint.id
        cursor, waiting = await self._lease.begin(self._endpoint, now)
        numbers = self._endpoint.secrets_at(now)
        self._secrets = dict(zip(numbers, await self._secrets_of(id, numbers), strict=True))
        self._lanes = Lanes(self._lanes.wanted, cursor, waiting)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read())
            group.create_task(self._keep_saved())
            while not self._ending and self._park_for is None:
                self._moved.clear()
                self._start(group)
                await set_within(self._moved, self._seconds_until_due())
            self.end()
            await ended(reading)
            # What is under way may still arrive.
            if self._attempts:
                await asyncio.wait(self._attempts, timeout=END_SECONDS_MAX)
            for it in self._attempts:
                it.cancel()
        await self._save()
        if self._park_for is not None:
            await self._park(self._endpoint, self._park_for)

    def end(self) -> None:
        """Stop, once what is under way has been answered, or a few seconds have passed."""
        self._ending = True
        self._moved.set()
        self._unsaved.set()

    async def _read(self) -> None:
        lanes = self._lanes
        while True:
            while lanes.under_way >= WINDOW:
                self._room.clear()
                await self._room.wait()
            page = await self._tide.read(lanes.read_to, PAGE)
            if page:
                lanes.take(page)
                self._moved.set()
                self._unsaved.set()
            else:
                await self._tide.wait(lanes.read_to, LOOK_SECONDS)

    async def _keep_saved(self) -> None:
        while not self._ending:
            await self._unsaved.wait()
            await self._save()
            await asyncio.sleep(SAVE_SECONDS)

    async def _save(self) -> None:
        self._unsaved.clear()
        lanes = self._lanes
        changed, lanes.changed = lanes.changed, set()
        standings = Standings(
            lanes.cursor,
            [lanes.blocked[id].waiting(id) for id in changed if id in lanes.blocked],
            [id for id in changed if id not in lanes.blocked],
            self._last,
            self._tried_at,
            self._arrived_at,
        )
        await self._lease.save(self._endpoint.id, standings)

    def _start(self, group: asyncio.TaskGroup) -> None:
        """Let go what may go now."""
        lanes, now = self._lanes, self._clock.now()
        if self._pause_until is not None and now < self._pause_until:
            return
        for id in lanes.due(now) if lanes.blocked else ():
            if len(self._attempts) >= IN_FLIGHT_MAX or self._retrying >= RETRIES_IN_FLIGHT_MAX:
                break
            lanes.blocked[id].trying = True
            self._retrying += 1
            self._spawn(group, self._retry(id, lanes.blocked[id]))
        while lanes.ready and len(self._attempts) < IN_FLIGHT_MAX and self._may_fail():
            self._spawn(group, self._try(lanes.ready.popleft()))

    def _may_fail(self) -> bool:
        """Whether one more aggregate could still be blocked, should its event not arrive."""
        return len(self._lanes.blocked) + len(self._attempts) - self._retrying < BLOCKED_MAX

    def _spawn(self, group: asyncio.TaskGroup, attempt: Coroutine[Any, Any, None]) -> None:
        task = group.create_task(attempt)
        self._attempts.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._attempts.discard(task)
        self._moved.set()
        self._unsaved.set()
        self._room.set()

    async def _try(self, id: UUID) -> None:
        """Send what comes first in a lane."""
        notification = self._lanes.first(id)
        answer = await self._send(notification)
        now = self._clock.now()
        if answer.fault is None:
            self._lanes.arrived(id)
            self._well(answer, now)
        else:
            blocked = Blocked(notification.originator_version, notification.id, now)
            self._lanes.block(id, blocked)
            self._ill(blocked, answer, now)

    async def _retry(self, id: UUID, blocked: Blocked) -> None:
        """Send what blocks a lane once more; or, after it arrived, what comes behind it."""
        try:
            notification = await self._head(id, blocked)
            if notification is None:
                self._lanes.unblock(id)
                return
            answer = await self._send(notification)
            now = self._clock.now()
            self._lanes.changed.add(id)
            if answer.fault is not None:
                self._ill(blocked, answer, now)
                return
            blocked.passed(notification, now)
            self._well(answer, now)
            if not blocked.queue and not blocked.more:
                self._lanes.unblock(id)
        finally:
            blocked.trying = False
            self._retrying -= 1

    async def _head(self, id: UUID, blocked: Blocked) -> Notification | None:
        """What comes first in a blocked lane, read from the log where it is not at hand; None: nothing."""
        lanes = self._lanes
        while not blocked.queue:
            if not blocked.more:
                return None
            # Asked for again where anything is read past it meanwhile.
            blocked.more, reach = False, lanes.read_to
            last = blocked.version - 1 + QUEUED_MAX
            found = await self._records.between([(id, blocked.version - 1, last)])
            known = [it for it in found if it.id <= reach]
            blocked.queue.extend(it for it in known if it.topic in lanes.wanted)
            if len(known) == QUEUED_MAX:
                blocked.more = True
                if not blocked.queue:
                    blocked.version = last + 1
        return blocked.queue[0]

    async def _send(self, notification: Notification) -> Answer:
        event = cloud_event(notification, self._namespace)
        body = json.encode(event)
        now = self._clock.now()
        secrets = [self._secrets[number] for number in self._endpoint.secrets_at(now)]
        return await self._post.post(signed(secrets, event["id"], int(now.timestamp()), body), body)

    def _well(self, answer: Answer, now: datetime) -> None:
        self._last, self._tried_at, self._arrived_at = answer, now, now
        for it in self._lanes.blocked.values():
            if it.of_endpoint:
                # The receiver seems to be back: what could not reach it need not wait for its hour.
                again = now if it.tried_at is None else max(now, it.tried_at + AGAIN_AFTER)
                it.next_attempt_at = min(it.next_attempt_at, again)

    def _ill(self, blocked: Blocked, answer: Answer, now: datetime) -> None:
        self._last, self._tried_at = answer, now
        since = blocked.failed_since or now
        blocked.failed(answer.of_endpoint, since, now)
        blocked.next_attempt_at = next_attempt(blocked.attempts, answer, now, self._chance)
        if answer.retry_after is not None and answer.status in OVERLOADED:
            until = now + timedelta(seconds=answer.retry_after)
            self._pause_until = max(until, self._pause_until or until)
        if answer.status == GONE:
            self._park_for = ParkCause.GONE
        elif is_over(since, now):
            self._park_for = ParkCause.GAVE_UP
        log.info(
            "webhook_failed",
            webhook=self._endpoint.id,
            status=answer.status,
            fault=answer.fault,
            attempts=blocked.attempts,
        )

    def _seconds_until_due(self) -> float:
        now = self._clock.now()
        moments = [it.next_attempt_at for it in self._lanes.blocked.values() if not it.trying]
        soonest = min((it for it in moments if it > now), default=now + timedelta(seconds=LOOK_SECONDS))
        return min(LOOK_SECONDS, max(0.01, (soonest - now).total_seconds()))
