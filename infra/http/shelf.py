"""Records as they were last sent, and members' names, in this process's memory for a minute at most.

A record is taken from here only while its version is the one in the view, and while the key ring, asked
every time, has nothing to say of anybody in it: its mark is the one at which it had nothing to say.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

from domain.model import Category
from projections.model import Head

KEPT_SECONDS_MAX: Final = 60.0
KEPT_RECORDS_MAX: Final = 120_000
T = TypeVar("T")


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


@dataclass(slots=True)
class Kept(Generic[T]):
    """Something on the shelf; at this `mark` of the key ring there was nothing to heed of anybody in it."""

    until: float
    mark: int | None
    it: T


class Shelf:
    """Keeps what was sent under its head; the oldest go first. For one event loop."""

    def __init__(
        self, seconds: float = KEPT_SECONDS_MAX, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = min(seconds, KEPT_SECONDS_MAX)
        self._now = now
        # Ordered, for their ends: to find its first entry, a dict walks over all that were deleted before.
        self._sent: OrderedDict[Head, Kept[Sent]] = OrderedDict()
        self._names: OrderedDict[Head, Kept[Name]] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._sent) + len(self._names)

    def get(self, heads: Sequence[Head]) -> list[Kept[Sent] | None]:
        """What was sent of each record at just these versions."""
        now, get = self._now(), self._sent.get
        return [kept if (kept := get(head)) is not None and kept.until > now else None for head in heads]

    def name(self, head: Head) -> Name | None:
        """The name of the member at just this version. Whose it is has to be heeded every time."""
        kept = self._names.get(head)
        return kept.it if kept is not None and kept.until > self._now() else None

    def put(self, head: Head, sent: Sent, mark: int | None) -> None:
        """Keep it, for as long as it may be kept from now on."""
        self._put(self._sent, head, sent, mark)

    def put_name(self, head: Head, name: Name) -> None:
        """The same for a name."""
        self._put(self._names, head, name, None)

    def _put(self, kept: OrderedDict[Head, Kept[T]], head: Head, it: T, mark: int | None) -> None:
        if not self._seconds:
            return
        kept.pop(head, None)
        if len(kept) >= KEPT_RECORDS_MAX:
            kept.popitem(last=False)
        kept[head] = Kept(self._now() + self._seconds, mark, it)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._seconds, self._forget)

    def drop(self, head: Head) -> None:
        self._sent.pop(head, None)

    def _forget(self) -> None:
        """Time is up also for what nobody asks for again."""
        self._sweep = None
        now, rests = self._now(), []
        for kept in (self._sent, self._names):
            while kept:
                if (rest := kept[next(iter(kept))].until - now) > 0:
                    rests.append(rest)
                    break
                kept.popitem(last=False)
        if rests:
            self._sweep = asyncio.get_running_loop().call_later(min(rests), self._forget)
