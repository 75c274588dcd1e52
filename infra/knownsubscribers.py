"""The subscribers that the log knows of: who may hold copies of what was erased."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from eventsourcing.persistence import Notification

from domain.model import Category
from domain.subscriber.events import SubscriberEnded, SubscriberGranted, SubscriberRegistered
from infra.eventstore.mapper import EventMapper
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from services.ports import Recorded

EVENTS: LiteralString = """
SELECT originator_id, originator_version, topic, state, position FROM log.events
WHERE topic IN ('subscriber.registered', 'subscriber.granted', 'subscriber.ended') ORDER BY position
"""


@dataclass(slots=True)
class KnownSubscriber:
    """A subscriber, what it was ever granted and since which position of the log, and when it ended."""

    name: str
    position: int
    granted: dict[Category, int] = field(default_factory=dict)
    ended_at: datetime | None = None

    def could_open(self, categories: Collection[Category], before: int) -> list[Category]:
        """Which of the categories (of all, where none is named) it was granted before that position."""
        return sorted(
            it
            for it, since in self.granted.items()
            if since < before and (not categories or it in categories)
        )


async def known_subscribers(pool: Pool, mapper: EventMapper) -> Sequence[KnownSubscriber]:
    """All that were ever registered, oldest first, those that ended too. Raises `Unavailable`."""
    with unavailable_on_outage():
        async with pool.connection() as connection:
            rows = await (await connection.execute(EVENTS)).fetchall()
    found: dict[UUID, KnownSubscriber] = {}
    for row in rows:
        _learn(found, mapper.to_domain_event(Notification(*row)))
    return list(found.values())


def _learn(found: dict[UUID, KnownSubscriber], recorded: Recorded) -> None:
    event = recorded.event
    match event:
        case SubscriberRegistered():
            found[event.originator_id] = KnownSubscriber(event.name, recorded.position)
        case SubscriberGranted():
            for it in event.categories:
                found[event.originator_id].granted.setdefault(it, recorded.position)
        case SubscriberEnded():
            found[event.originator_id].ended_at = recorded.envelope.recorded_at


def certified(
    known: Sequence[KnownSubscriber],
    *,
    acknowledged: Mapping[str, datetime],
    expected: Collection[str],
    erased_position: int,
    categories: Collection[Category],
) -> list[dict[str, Any]]:
    """For a certificate: who acknowledged; and who has not and is to, or has ended and may have a copy.

    `expected`: those beside the register. Who was registered after the erasure could open nothing of it.
    """
    named = {it.name: it for it in known if it.position < erased_position}
    opened = {name: it.could_open(categories, erased_position) for name, it in named.items()}
    asked = {name for name, it in named.items() if it.ended_at is None or opened[name]}
    return [
        {
            "name": name,
            "acknowledged_at": acknowledged.get(name),
            "granted": opened.get(name),
            "ended_at": named[name].ended_at if name in named else None,
        }
        for name in sorted({*acknowledged, *expected, *asked})
    ]
