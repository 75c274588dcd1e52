"""What is under way to one endpoint: a lane for each aggregate, in which one event goes after the other.

A failing event blocks its own lane only. Its later events are not kept: they are read from the log again.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from eventsourcing.persistence import Notification

from infra.cloudevents import Wanted
from infra.webhooks.lease import Waiting

QUEUED_MAX = 32
"""How many events of a blocked aggregate are kept in memory."""


@dataclass(slots=True)
class Blocked:
    """A lane whose first event, of this `version`, did not arrive yet."""

    version: int
    position: int
    next_attempt_at: datetime
    attempts: int = 0
    failed_since: datetime | None = None
    of_endpoint: bool = False
    tried_at: datetime | None = None
    queue: deque[Notification] = field(default_factory=deque)
    more: bool = True
    """There may be further events of it that were read past."""
    trying: bool = False

    def failed(self, of_endpoint: bool, since: datetime, now: datetime) -> None:
        """Once more."""
        self.attempts += 1
        self.failed_since, self.tried_at, self.of_endpoint = since, now, of_endpoint

    def passed(self, notification: Notification, now: datetime) -> None:
        """What came first has arrived: the next goes at once."""
        self.queue.popleft()
        self.version, self.position = notification.originator_version + 1, notification.id
        self.attempts, self.failed_since, self.tried_at, self.of_endpoint = 0, None, None, False
        self.next_attempt_at = now

    def waiting(self, originator_id: UUID) -> Waiting:
        """As it is remembered."""
        return Waiting(
            originator_id,
            self.version,
            self.position,
            self.attempts,
            self.failed_since,
            self.next_attempt_at,
            self.of_endpoint,
        )


class Lanes:
    """The window of the log that is under way. `read_to`: how far the log is read."""

    def __init__(self, wanted: Wanted, cursor: int, waiting: Collection[Waiting]) -> None:
        self.wanted = wanted
        self.read_to = cursor
        self.ready: deque[UUID] = deque()
        self.blocked = {
            it.originator_id: Blocked(
                it.version, it.position, it.next_attempt_at, it.attempts, it.failed_since, it.of_endpoint
            )
            for it in waiting
        }
        self.changed: set[UUID] = set()
        """The aggregates whose being blocked is not as it was saved."""
        self._lanes: dict[UUID, deque[Notification]] = {}
        self._undone: dict[int, None] = {}

    @property
    def cursor(self) -> int:
        """Up to here everything has arrived, or is blocked."""
        return next(iter(self._undone), self.read_to + 1) - 1

    @property
    def under_way(self) -> int:
        """How many events of the window have not arrived."""
        return len(self._undone)

    def take(self, page: Sequence[Notification]) -> None:
        """Read on."""
        for it in page:
            if it.topic in self.wanted:
                self._take(it)
        self.read_to = page[-1].id

    def _take(self, it: Notification) -> None:
        id = _uuid(it)
        if (blocked := self.blocked.get(id)) is not None:
            blocked.more = True
            return
        self._undone[it.id] = None
        if id in self._lanes:
            self._lanes[id].append(it)
        else:
            self._lanes[id] = deque([it])
            self.ready.append(id)

    def first(self, id: UUID) -> Notification:
        """What goes next in this lane."""
        return self._lanes[id][0]

    def arrived(self, id: UUID) -> None:
        """The first of a lane has arrived."""
        lane = self._lanes[id]
        del self._undone[lane.popleft().id]
        if lane:
            self.ready.append(id)
        else:
            del self._lanes[id]

    def block(self, id: UUID, blocked: Blocked) -> None:
        """The first of a lane has not arrived: its others wait behind it, and the window moves on."""
        lane = self._lanes.pop(id)
        for it in lane:
            del self._undone[it.id]
        blocked.queue.extend(list(lane)[:QUEUED_MAX])
        blocked.more = len(lane) > QUEUED_MAX
        self.blocked[id] = blocked
        self.changed.add(id)

    def unblock(self, id: UUID) -> None:
        """Nothing waits in this lane any more."""
        del self.blocked[id]
        self.changed.add(id)

    def due(self, now: datetime) -> list[UUID]:
        """The blocked lanes to try again, the longest due first."""
        found = [
            id
            for id, it in self.blocked.items()
            # Not before the log is read to where it failed: else what follows would be sent out of turn.
            if not it.trying and it.next_attempt_at <= now and it.position <= self.read_to
        ]
        return sorted(found, key=lambda id: self.blocked[id].next_attempt_at)


def _uuid(it: Notification) -> UUID:
    assert isinstance(it.originator_id, UUID)  # noqa: S101 - the library's events may be named by texts
    return it.originator_id
