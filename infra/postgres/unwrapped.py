"""Unwrapped keys in memory, for a minute at most."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from services.ports import DataKey, KeyName

CACHED_SECONDS_MAX = 60.0
CACHED_KEYS_MAX = 50_000


class UnwrappedKeys:
    """Unwrapped keys by name, each with the wrapped form it came from; the oldest go first."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = min(seconds, CACHED_SECONDS_MAX)
        self._now = now
        # Ordered, for its ends: to find its first entry, a dict walks over all that were deleted before.
        self._keys: OrderedDict[KeyName, tuple[float, bytes, DataKey]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def __contains__(self, name: KeyName) -> bool:
        return name in self._keys

    def get(self, name: KeyName, wrapped: bytes) -> DataKey | None:
        kept = self._keys.get(name)
        return kept[2] if kept is not None and kept[1] == wrapped and kept[0] > self._now() else None

    def put(self, name: KeyName, wrapped: bytes, key: DataKey) -> None:
        if not self._seconds:
            return
        self._keys.pop(name, None)
        if len(self._keys) >= CACHED_KEYS_MAX:
            self._keys.popitem(last=False)
        self._keys[name] = (self._now() + self._seconds, wrapped, key)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._seconds, self._forget)

    def drop(self, names: Iterable[KeyName]) -> None:
        for name in names:
            self._keys.pop(name, None)

    def _forget(self) -> None:
        """Time is up also for a key that nobody asks for again."""
        self._sweep = None
        now = self._now()
        while self._keys:
            rest = self._keys[next(iter(self._keys))][0] - now
            if rest > 0:
                self._sweep = asyncio.get_running_loop().call_later(rest, self._forget)
                return
            self._keys.popitem(last=False)
