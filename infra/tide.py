"""The end of the log, looked at once for all who wait for it in this process.

A thousand followers that wait cost one: a single task asks the reader what is new, keeps the newest events in
memory, and tells the others. Who waits holds no connection to the database.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from eventsourcing.persistence import Notification

from services.ports import LogReader, Unavailable

PAGE: Final = 500
LOOK_SECONDS: Final = 1.0
KEPT_EVENTS_MAX: Final = 2_000
KEPT_BYTES_MAX: Final = 8 * 1024 * 1024


class Tide:
    """Reads the log, and waits for more of it. Safe to share between tasks of one event loop."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._kept: list[Notification] = []
        self._kept_bytes = 0
        self._floor = self._high = 0
        """Every event above the one and up to the other is kept."""
        self._rise: asyncio.Future[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._waiting = 0
        self._wanted = False
        self.closed = False

    async def read(self, after: int, limit: int) -> Sequence[Notification]:
        """As `LogReader.read`; from memory, where it is about the newest events."""
        if self._floor <= after < self._high:
            start = bisect_right(self._kept, after, key=_position)
            return self._kept[start : start + limit]
        return await self._reader.read(after, limit)

    async def wait(self, after: int, timeout: float) -> bool:
        """Wait (seconds) until there is an event above `after`. False when the time is up, or after `close`.

        Raises `Unavailable`.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        self._waiting += 1
        try:
            while not self.closed:
                if self._high > after:
                    return True
                if (remaining := until - loop.time()) <= 0:
                    return False
                rise = self._next_rise()
                await asyncio.wait([rise], timeout=remaining)
                if rise.done():
                    rise.result()
        finally:
            self._waiting -= 1
        return False

    def close(self) -> None:
        """Nobody waits any more."""
        self.closed = True
        self._tell()
        if self._looking is not None:
            self._looking.cancel()

    def _next_rise(self) -> asyncio.Future[None]:
        self._wanted = True
        if self._rise is None:
            self._rise = asyncio.get_running_loop().create_future()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="tide")
        return self._rise

    def _tell(self, error: Exception | None = None) -> None:
        rise, self._rise = self._rise, None
        if rise is None:
            return
        if error is None:
            rise.set_result(None)
        else:
            rise.set_exception(error)
            rise.exception()  # who waited is told; nobody else misses it

    async def _look(self) -> None:
        try:
            await self._begin()
            # Once more than there are waiters: who was just told comes back at once.
            while self._waiting or self._wanted:
                self._wanted = False
                if await self._reader.wait(self._high, LOOK_SECONDS):
                    self._keep(await self._reader.read(self._high, PAGE))
        except Exception as error:
            self._tell(error)
            if not isinstance(error, Unavailable):
                raise

    async def _begin(self) -> None:
        end = await self._reader.end()
        if end > self._high + KEPT_EVENTS_MAX or not self._high:
            self._kept, self._kept_bytes, self._floor = [], 0, end
            self._high = end
            self._tell()

    def _keep(self, found: Sequence[Notification]) -> None:
        if not found:
            return
        self._kept += found
        self._kept_bytes += sum(len(it.state) for it in found)
        dropped = 0
        while len(self._kept) - dropped > KEPT_EVENTS_MAX or self._kept_bytes > KEPT_BYTES_MAX:
            self._floor = self._kept[dropped].id
            self._kept_bytes -= len(self._kept[dropped].state)
            dropped += 1
        del self._kept[:dropped]
        self._high = found[-1].id
        self._tell()


def _position(notification: Notification) -> int:
    return int(notification.id)
