"""Where events come from: a source hands them over a page at a time, each page of one part of the stream."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeAlias

from lethe_subscriber.api import Api
from lethe_subscriber.received import Received


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a part of the stream is settled."""

    end: int
    """Where to go on."""
    last_position: int = 0
    """The event before that, by its position in the log; 0 where there was none."""
    last_id: str | None = None
    """Its id: by it the log is told from another."""


Marks: TypeAlias = Callable[[], Mapping[str, Mark]]
"""Asks the subscriber's store how far each part of the source is settled."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events of some parts of the stream, in order. Without any it may still take the parts further."""

    parts: tuple[str, ...]
    events: Sequence[Received]
    ends: Sequence[int]
    """How far the parts are settled after each event."""
    end: int
    """How far they are settled after the page."""

    def first(self, count: int) -> Self:
        """The page as far as so many of its events."""
        if count == len(self.events):
            return self
        return replace(self, events=self.events[:count], ends=self.ends[:count], end=self.ends[count - 1])

    def rest(self, count: int) -> Self:
        """The page without so many of its first events."""
        return replace(self, events=self.events[count:], ends=self.ends[count:])

    @property
    def mark(self) -> Mark:
        """How far the parts are settled with it."""
        if not self.events:
            return Mark(self.end)
        return Mark(self.end, self.events[-1].position, self.events[-1].id)


class Source(Protocol):
    """Hands over events, each record's in order, at least once.

    It raises `Unreachable` for what passes by itself, `Refused` and `AnotherLog` for what does not.
    """

    @property
    def name(self) -> str:
        """What its marks are kept under."""
        ...

    @property
    def api(self) -> Api | None:
        """Where boxes are opened and erasures acknowledged; None: nowhere."""
        ...

    @property
    def begins_later(self) -> bool:
        """Whether the first event of a record that it brings may have any version."""
        ...

    @property
    def partial(self) -> bool:
        """Whether it brings only some of a record's events: gaps are no fault then."""
        ...

    @property
    def interruptible(self) -> bool:
        """Whether an exception may end `next` at any point."""
        ...

    def open(self, subscriber: str, streams: Sequence[str], marks: Marks) -> None:
        """Begin with these streams, each part at its mark; or begin so again."""
        ...

    def next(self, seconds: float) -> Page | None:
        """The next page; None where nothing comes for so long."""
        ...

    def settled(self, page: Page) -> None:
        """The effects of the page and how far it goes are stored."""
        ...

    def caught_up(self) -> bool:
        """Whether all that there was is settled. To be asked when `next` gave None."""
        ...

    def close(self) -> None:
        """Let go of what it holds. It may be opened again."""
        ...
