"""Records as they were last sent, and members' names, in this process's memory for a minute at most.

A record is taken from here only while its version is the one in the view, and while the key ring, asked
every time, has nothing to say of anybody in it.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from domain.model import Category
from projections.model import Head

KEPT_SECONDS_MAX: Final = 60.0
KEPT_RECORDS_MAX: Final = 120_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A record's JSON. `people`: all who are in it; `subjects`: those whose values it shows, in bytes."""

    body: bytes
    people: tuple[UUID, ...]
    subjects: tuple[bytes, ...]
    categories: frozenset[Category]


@dataclass(frozen=True, slots=True)
class Name:
    """A member's name, opened, and whose it is."""

    subject_id: UUID
    name: str


class Shelf:
    """Keeps what was sent by id and versions; the oldest go first. For one event loop."""

    def __init__(
        self, seconds: float = KEPT_SECONDS_MAX, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = min(seconds, KEPT_SECONDS_MAX)
        self._now = now
        self._kept: dict[UUID, tuple[float, Head, Sent | Name]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, head: Head) -> Sent | None:
        """What was sent of the record at just these versions."""
        kept = self._get(head)
        return kept if isinstance(kept, Sent) else None

    def name(self, head: Head) -> Name | None:
        """The name of the member at just this version."""
        kept = self._get(head)
        return kept if isinstance(kept, Name) else None

    def _get(self, head: Head) -> Sent | Name | None:
        kept = self._kept.get(head.id)
        return kept[2] if kept is not None and kept[1][1:] == head[1:] and kept[0] > self._now() else None

    def put(self, head: Head, sent: Sent | Name) -> None:
        """Keep it, for as long as it may be kept from now on."""
        if not self._seconds:
            return
        self._kept.pop(head.id, None)
        if len(self._kept) >= KEPT_RECORDS_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[head.id] = (self._now() + self._seconds, head, sent)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._seconds, self._forget)

    def drop(self, ids: Collection[UUID]) -> None:
        for id in ids:
            self._kept.pop(id, None)

    def _forget(self) -> None:
        """Time is up also for what nobody asks for again."""
        self._sweep = None
        now = self._now()
        while self._kept:
            id = next(iter(self._kept))
            rest = self._kept[id][0] - now
            if rest > 0:
                self._sweep = asyncio.get_running_loop().call_later(rest, self._forget)
                return
            del self._kept[id]
