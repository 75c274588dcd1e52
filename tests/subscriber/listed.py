"""A stream in a list, and a subscriber that notes what it is given: for what no real source ever delivers."""

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from lethe_subscriber.api import Api
from lethe_subscriber.received import Received
from lethe_subscriber.sources import Mark, Marks, Page
from lethe_subscriber.stores import Store
from lethe_subscriber.subscriber import Subscriber
from lethe_subscriber.values import Event

NOTES = "CREATE TABLE IF NOT EXISTS notes (position BIGINT, aggregate_id TEXT, version BIGINT)"
A, B, C = (str(UUID(int=it)) for it in (1, 2, 3))
_positions = itertools.count(1)


def received(
    aggregate_id: str = A,
    version: int = 1,
    type: str = "ticket.closed",
    *,
    position: int | None = None,
    schema: int = 1,
    boxes: Sequence[dict[str, Any]] = (),
    **data: Any,
) -> Received:
    """An event as a source hands it over; the same record and version is the same event."""
    position = next(_positions) if position is None else position
    document = {
        "id": str(UUID(int=UUID(aggregate_id).int * 1_000_000 + version)),
        "type": type,
        "subject": aggregate_id,
        "time": "2026-03-01T09:00:00Z",
        "dataschema": f"urn:lethe:schema:{type}:{schema}",
        "position": position,
        "aggregateversion": version,
        "occurredat": "2026-03-01T08:00:00Z",
        "actor": str(UUID(int=7)),
        "commandid": "c",
        "correlationid": "c",
        "data": {"subject_id": aggregate_id, **data, "sealed": [*boxes]},
    }
    return Received(document)


class ListedSource:
    """Implements `Source` over a list: events come from the mark on, in whatever order they stand there."""

    name = "list"
    interruptible = True

    def __init__(self, *events: Received, page: int = 10, partial: bool = False, later: bool = False) -> None:
        self.events = list(events)
        self.api: Api | None = None
        self.partial = partial
        self.begins_later = later
        self.streams: Sequence[str] = ()
        self._page = page
        self._end = 0

    def open(self, subscriber: str, streams: Sequence[str], marks: Marks) -> None:
        self.streams = streams
        self._end = marks().get("all", Mark(0)).end

    def next(self, seconds: float) -> Page | None:
        begin = self._end
        events = self.events[begin : begin + self._page]
        ends = [begin + it + 1 for it in range(len(events))]
        return Page(("all",), events, ends, ends[-1]) if events else None

    def settled(self, page: Page) -> None:
        self._end = page.end

    def caught_up(self) -> bool:
        return True

    def close(self) -> None:
        self._end = 0


class Noting:
    """A subscriber whose handlers write down each event; those of the versions in `poison` raise."""

    def __init__(
        self, source: ListedSource, store: Store[Any], types: Sequence[type[Event]], name: str = "notes"
    ) -> None:
        self.source = source
        self.store = store
        self.poison: set[tuple[str, int]] = set()
        self.subscriber = Subscriber(name, source, store)
        self.subscriber.on(*types)(self._note)

    def run(self) -> None:
        self.subscriber.run(until_caught_up=True)

    def noted(self) -> list[tuple[str, int]]:
        """Which record's which version, in the order of the handlers' runs."""
        self.store.open(())
        rows = self.store.execute("SELECT aggregate_id, version FROM notes ORDER BY position")
        self.store.close()
        return [(aggregate_id, version) for aggregate_id, version in rows]

    def _note(self, event: Event, db: Any) -> None:
        record = str(event.aggregate_id), event.aggregate_version
        (count,) = self.store.execute("SELECT count(*) FROM notes")[0]
        self.store.execute("INSERT INTO notes VALUES (%s, %s, %s)", [count, *record])
        if record in self.poison:
            raise ValueError("Quirin Unverkennbar cannot be noted")
