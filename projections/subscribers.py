"""Subscribers: the programs that follow the events, and what each may open."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.model import Category, Event
from domain.subscriber.events import (
    SubscriberEnded,
    SubscriberGranted,
    SubscriberRegistered,
    SubscriberRevoked,
)
from projections.model import Recorded, Row, Rows, advance


@dataclass(slots=True, kw_only=True)
class SubscriberRow(Row):
    """A subscriber as things stand.

    A grant is {"category", "purpose", "granted_at"}, the moment as an ISO text; in the order of categories.
    """

    name: str
    purpose: str
    registered_at: datetime
    ended_at: datetime | None = None
    grants: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SubscriberFilter:
    """Which subscribers; None leaves the field open. `living`: not ended."""

    name: str | None = None
    living: bool | None = None


class Subscribers(Protocol):
    """Reads subscribers. Lists are in order of id, from the first id above `after`."""

    async def subscriber(self, id: UUID) -> SubscriberRow | None: ...

    async def list_subscribers(
        self, where: SubscriberFilter, *, limit: int, after: UUID | None = None
    ) -> list[SubscriberRow]: ...

    async def unacknowledged(self, subscriber: SubscriberRow, *, limit: int) -> list[UUID]:
        """Erasures carried out since it was registered that it has not acknowledged, oldest first."""
        ...

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """The names of those among the ids that are subscribers."""
        ...


def project(rows: Rows[SubscriberRow], recorded: Recorded) -> None:
    """Bring the subscriber's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    match event:
        case SubscriberRegistered():
            rows.setdefault(event.originator_id, _begun(event, recorded.position))
        case SubscriberGranted() | SubscriberRevoked() | SubscriberEnded():
            row = advance(rows, recorded)
            if row is not None:
                _change(row, event)


def _begun(event: SubscriberRegistered, position: int) -> SubscriberRow:
    return SubscriberRow(
        id=event.originator_id,
        subject_id=event.record_subject,
        version=event.originator_version,
        position=position,
        name=event.name,
        purpose=event.purpose,
        registered_at=event.timestamp,
    )


def _change(row: SubscriberRow, event: Event) -> None:
    match event:
        case SubscriberGranted():
            new = {"purpose": event.purpose, "granted_at": event.timestamp.isoformat()}
            given = {it["category"]: it for it in row.grants}
            given |= {str(it): {"category": str(it), **new} for it in event.categories}
            row.grants = [given[it] for it in Category if it in given]
        case SubscriberRevoked():
            row.grants = [it for it in row.grants if it["category"] not in event.categories]
        case SubscriberEnded():
            row.grants, row.ended_at = [], event.timestamp
