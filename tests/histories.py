"""Long histories, written straight into the log as the system would have stored them, only faster."""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from uuid_utils.compat import uuid7

from domain.lead.events import (
    LeadAssigned,
    LeadCaptured,
    LeadContacted,
    LeadLost,
    LeadProposed,
    LeadQualified,
    LeadReopened,
    LeadRevalued,
    LeadWon,
)
from domain.model import Event
from domain.values import CurrencyCode, LossReason, Money
from infra.eventstore.mapper import EventMapper
from infra.postgres.database import Pool
from services.ports import Envelope, Recorded

NAMESPACE = "main"
BEGIN = datetime(2016, 1, 4, 9, tzinfo=UTC)
TURNS: tuple[Any, ...] = (
    LeadAssigned, LeadContacted, LeadLost, LeadProposed, LeadQualified, LeadReopened, LeadRevalued, LeadWon,
)  # fmt: skip


def lead_event(id: UUID, subject_id: UUID, version: int, occurred_at: datetime, turn: int) -> Event:
    """An event of a lead; which one beyond the first says `turn`. A projection takes them in any order."""
    base: dict[str, Any] = {
        "originator_id": id,
        "originator_version": version,
        "timestamp": occurred_at,
        "subject_id": subject_id,
    }
    if version == 1:
        return LeadCaptured(originator_topic="lead", source="fair", **base)
    kind = TURNS[turn % len(TURNS)]
    if kind is LeadAssigned:
        return LeadAssigned(owner_id=UUID(int=turn), **base)
    if kind is LeadLost:
        return LeadLost(cause=LossReason.PRICE, **base)
    money = {} if kind in (LeadContacted, LeadReopened) else {"value": _euros(turn)}
    event: Event = kind(**money, **base)
    return event


def _euros(amount: int) -> Money:
    return Money(amount=Decimal(amount), currency=CurrencyCode("EUR"))


def recorded(
    event: Event, recorded_at: datetime, *, position: int = 0, actor: UUID | None = None
) -> Recorded:
    envelope = Envelope(
        event_id=uuid7(),
        recorded_at=recorded_at,
        actor=str(actor or UUID(int=7)),
        correlation_id=uuid7(),
        causation_id=None,
        command_id=uuid7(),
    )
    return Recorded(event, envelope, position)


def long_lead(
    id: UUID, count: int, *, step: timedelta = timedelta(minutes=30), backdated: float = 0.01, seed: int = 7
) -> Iterator[Recorded]:
    """A lead of so many events, one a `step`; a share of them is backdated, by up to 30 days."""
    chance = random.Random(seed)
    subject_id = uuid7()
    for version in range(1, count + 1):
        now = BEGIN + step * version
        days = chance.uniform(0, 30) if version > 1 and chance.random() < backdated else 0
        event = lead_event(id, subject_id, version, now - timedelta(days=days), chance.randrange(1, 1_000))
        yield recorded(event, now)


def stored(mapper: EventMapper, history: Iterable[Recorded]) -> Iterator[StoredEvent]:
    return (mapper.to_stored_event(it) for it in history)


async def write(pool: Pool, events: Iterable[StoredEvent]) -> None:
    """Into the log, in this order, in one transaction. As a second way in, for tests alone."""
    columns = "originator_id, originator_version, topic, state"
    async with (
        pool.connection() as connection,
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(f"COPY log.events ({columns}) FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.set_types(["uuid", "int8", "text", "bytea"])
        for it in events:
            await copy.write_row((it.originator_id, it.originator_version, it.topic, it.state))


def versions(history: Sequence[Recorded]) -> list[int]:
    return [it.originator_version for it in history]
