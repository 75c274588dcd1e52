"""Parts of the log that are published again: what is asked for, and who remembers how far it has come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Progress = Callable[[int], None]
"""Told the position reached."""


class AnotherReplay(Exception):
    """A replay of this name was begun with other types or bounds: choose another name, or delete that one."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What is published again: events of these types (None: all) above `after`, up to `until`."""

    name: str
    topic: str
    types: frozenset[str] | None
    after: int
    until: int

    def wants(self, event_type: str) -> bool:
        """Whether a type, or its kind of record, is among those asked for."""
        return self.types is None or event_type in self.types or event_type.partition(".")[0] in self.types


class Replays(Protocol):
    """Remembers replays. Each method raises `Unavailable` while the database is away."""

    async def begin(self, replay: Replay) -> tuple[Replay, int]:
        """The replay as it was first asked for, and the position that it has come to.

        Raises `AnotherReplay` where one of this name asks for something else; its end does not count.
        """
        ...

    async def advance(self, name: str, position: int) -> None:
        """Everything up to this position is acknowledged."""
        ...
