"""Keeps the views in step with the events: in batches, from the log itself or from Kafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

from infra.ending import ended
from infra.postgres.advisory import advisory_lock
from infra.postgres.database import Pool
from infra.undecoded import Decoder, TolerantDecoder
from services.ports import EventSource, LogReader, Recorded

BATCH_EVENTS_MAX = 2_000
DECODED_AT_ONCE = 250
WAIT_SECONDS = 0.5
TAKEOVER_SECONDS = 0.5
FOLLOWER_LOCK = 0x6C657468650001
LOG = "log"
T = TypeVar("T")
KAFKA = "kafka"


class ViewStore(Protocol):
    """Keeps views."""

    async def tracked(self, source: str) -> int:
        """The position up to which all of the views have come; 0 at first."""
        ...

    async def apply(self, batch: Sequence[Recorded], source: str) -> None:
        """Move all views on, in one transaction. Events that come again change nothing.

        An event that cannot be digested does not raise: its record is parked.
        """
        ...


class LogSource:
    """Implements `EventSource` over the log, from the first event above a position.

    An event that cannot be read is handed out as `Undecoded`.
    """

    def __init__(self, reader: LogReader, mapper: Decoder, after: int) -> None:
        self.reader = reader
        self.mapper = TolerantDecoder(mapper)
        self.after = after
        self._ahead: asyncio.Task[Sequence[Recorded]] | None = None

    async def next(self, *, limit: int, timeout: float) -> Sequence[Recorded]:
        page = await self._take(limit)
        if not page and await self.reader.wait(self.after, timeout):
            page = await self._take(limit)
        if page:
            self.after = page[-1].position
        if len(page) == limit:
            # There is more: read it while the views write what was handed out.
            self._ahead = asyncio.create_task(self._page(limit))
        return page

    async def done(self) -> None:
        """Nothing to say: the views keep how far they have come themselves."""

    async def close(self) -> None:
        """Leave off reading ahead."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)

    async def _take(self, limit: int) -> Sequence[Recorded]:
        ahead, self._ahead = self._ahead, None
        return await (ahead or self._page(limit))

    async def _page(self, limit: int) -> Sequence[Recorded]:
        notifications = await self.reader.read(self.after, limit)
        page: list[Recorded] = []
        for first in range(0, len(notifications), DECODED_AT_ONCE):
            page += map(self.mapper.to_domain_event, notifications[first : first + DECODED_AT_ONCE])
            await asyncio.sleep(0)  # others have a turn: commands, and the batch that is being written
        return page


@asynccontextmanager
async def following_log(
    pool: Pool, reader: LogReader, mapper: Decoder, store: ViewStore
) -> AsyncIterator[EventSource]:
    """The log as the source, once no other process follows it for the views; from where they stand.

    Should the lock's connection break, two may follow for a while: wasteful, and harmless.
    """
    async with advisory_lock(pool, FOLLOWER_LOCK, every=TAKEOVER_SECONDS):
        source = LogSource(reader, mapper, await store.tracked(LOG))
        try:
            yield source
        finally:
            await source.close()


class Projector:
    """Takes events from a source and moves the views on, until told to stop.

    Every failure ends the run, and with it the source: what was handed out and not applied must be handed
    out again, so whoever runs it starts it anew (see `infra.supervision`). At each start the views are looked
    at (`check`), and what was parked is tried again (`retry`): this may be the release that mends it.
    """

    def __init__(
        self,
        open_source: Callable[[], AbstractAsyncContextManager[EventSource]],
        store: ViewStore,
        *,
        name: str = LOG,
        check: Callable[[], Coroutine[Any, Any, object]] | None = None,
        retry: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.open_source = open_source
        self.store = store
        self.name = name
        self.check = check
        self.retry = retry

    async def run(self, stop: asyncio.Event) -> None:
        """Project until `stop` is set; what has been taken from the source is finished first."""
        async with AsyncExitStack() as stack:
            if self.check is not None:
                await _unless(stop, self.check())
            source = await _unless(stop, stack.enter_async_context(self.open_source()))
            if source is not None and self.retry is not None:
                await self.retry()
            while source is not None and not stop.is_set():
                batch = await source.next(limit=BATCH_EVENTS_MAX, timeout=WAIT_SECONDS)
                if batch:
                    await self.store.apply(batch, self.name)
                    await source.done()


async def _unless(stop: asyncio.Event, coming: Coroutine[Any, Any, T]) -> T | None:
    """What comes; None where `stop` is set first: who stands by has nothing to finish."""
    opening, stopping = asyncio.create_task(coming), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            return opening.result()
        return None
    finally:
        await ended(opening, stopping)
