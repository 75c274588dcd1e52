"""Long records as they stood when they were last decided on, so that only what came since is read."""

from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from uuid import UUID

from domain.model import Aggregate, Event
from services.ports import AggregateSnapshots, EventStore, History

LONG_EVENTS = 128
"""Shorter records are read faster than they are worth keeping."""
KEPT_MAX = 512
SNAPSHOT_EVENTS = 256
"""After so many more a snapshot is taken, for processes that have not seen the record."""


@dataclass(frozen=True, slots=True)
class _Kept:
    aggregate: Aggregate
    last: Event
    snapshot_version: int


class Remembered:
    """Loads aggregates; keeps the long ones, the latest asked for. What it keeps holds nothing personal.

    One task at a time may ask for a record.
    """

    def __init__(
        self,
        snapshots: AggregateSnapshots | None = None,
        *,
        long_events: int = LONG_EVENTS,
        kept_max: int = KEPT_MAX,
        snapshot_events: int = SNAPSHOT_EVENTS,
    ) -> None:
        self._snapshots = snapshots
        self._long_events = long_events
        self._kept_max = kept_max
        self._snapshot_events = snapshot_events
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()

    async def load(self, store: EventStore, id: UUID) -> tuple[Aggregate | None, int]:
        """The aggregate as the log has it now, to be decided on, and the position of its last event."""
        # Out while it moves on: what fails half-way is read anew.
        kept = self._kept.pop(id, None)
        if kept is not None:
            history = await store.load(id, after=kept.aggregate.version - 1)
            # A log that came back from a copy may have lost what we saw, or have something else in its place.
            if list(history.events[:1]) == [kept.last]:
                aggregate = replayed(history.events[1:], kept.aggregate)
                return self._keep(aggregate, history, kept.snapshot_version)
        history = await (self._snapshots or store).load(id)
        start = history.snapshot
        if start is None:
            return self._keep(replayed(history.events), history, 0)
        version = start.version
        return self._keep(replayed(history.events[1:], start), history, version)

    def _keep(
        self, aggregate: Aggregate | None, history: History, snapshot_version: int
    ) -> tuple[Aggregate | None, int]:
        if aggregate is None or aggregate.version < self._long_events:
            return aggregate, history.position
        if self._snapshots is not None and aggregate.version - snapshot_version >= self._snapshot_events:
            self._snapshots.keep(aggregate, history.last)
            snapshot_version = aggregate.version
        self._kept[aggregate.id] = _Kept(aggregate, history.events[-1], snapshot_version)
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return deepcopy(aggregate), history.position


def replayed(events: Sequence[Event], aggregate: Aggregate | None = None) -> Aggregate | None:
    """The aggregate moved on by its events; None where there is nothing yet."""
    for event in events:
        aggregate = event.mutate(aggregate)
    return aggregate
