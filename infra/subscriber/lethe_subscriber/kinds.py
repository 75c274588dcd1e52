"""Which kinds of event are in which stream; a kind is the first word of a type."""

from collections.abc import Iterable

from lethe_subscriber.events import EVENTS


def kinds_of(streams: Iterable[str]) -> list[str]:
    """The kinds of all events in these streams."""
    wanted = frozenset(streams)
    return sorted({it.TYPE.partition(".")[0] for it in EVENTS.values() if it.STREAM in wanted})
