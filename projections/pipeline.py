"""The pipeline: every lead with its stage, owner and value, and what the stages come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Protocol
from uuid import UUID

from domain.lead.events import (
    LeadAssigned,
    LeadCaptured,
    LeadContacted,
    LeadDisqualified,
    LeadLinked,
    LeadLost,
    LeadProposed,
    LeadQualified,
    LeadReopened,
    LeadRevalued,
    LeadWon,
)
from domain.model import Event
from domain.values import CurrencyCode, LossReason, Money, Stage
from projections.model import Headed, Heads, Personal, Recorded, Row, Rows, advance

FUNNEL = (Stage.NEW, Stage.ENGAGED, Stage.QUALIFIED, Stage.PROPOSED, Stage.WON)
"""The way to a sale; a lead that skips a stage has passed it."""


@dataclass(slots=True, kw_only=True)
class LeadRow(Row):
    """A lead as things stand. `value` is the last known one; once won, what they bought for.

    `furthest` is the furthest stage of `FUNNEL` it ever reached. Times are of the last time it happened.
    """

    stage: Stage
    furthest: Stage
    source: str
    captured_at: datetime
    changed_at: datetime
    campaign: str | None = None
    product: str | None = None
    organisation: str | None = None
    country: str | None = None
    customer_id: UUID | None = None
    owner_id: UUID | None = None
    value: Decimal | None = None
    currency: str | None = None
    expected_close_on: date | None = None
    engaged_at: datetime | None = None
    qualified_at: datetime | None = None
    proposed_at: datetime | None = None
    closed_at: datetime | None = None
    cause: LossReason | None = None
    name: Personal = None
    email: Personal = None
    phone: Personal = None
    note: Personal = None


@dataclass(frozen=True, slots=True)
class LeadFilter:
    """Which leads; None leaves the field open.

    `region` is the office that the owner belongs to now. Periods run from the first moment inside to the
    first one outside; a period of closing holds closed leads only.
    """

    stage: Stage | None = None
    owner_id: UUID | None = None
    product: str | None = None
    campaign: str | None = None
    source: str | None = None
    country: str | None = None
    customer_id: UUID | None = None
    currency: str | None = None
    region: str | None = None
    captured_from: datetime | None = None
    captured_until: datetime | None = None
    closed_from: datetime | None = None
    closed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StageTotal:
    """What stands in one stage: how many leads, and their values, one sum a currency (in its order).

    A lead whose value nobody knows counts, and adds to no sum.
    """

    stage: Stage
    count: int
    values: tuple[Money, ...]


def total(amount: Decimal, currency: str) -> Money:
    """A sum of money, which may have more digits than one amount."""
    return Money.model_construct(amount=amount, currency=CurrencyCode(currency))


class Pipeline(Protocol):
    """Reads the pipeline. Lists are in order of id, from the first id above `after`."""

    async def lead(self, id: UUID) -> LeadRow | None: ...

    async def leads(self, ids: Sequence[UUID]) -> list[LeadRow]:
        """Those that exist, in the order asked for."""
        ...

    async def lead_heads(self, where: LeadFilter, *, limit: int, after: UUID | None = None) -> Heads:
        """Which those are, and at which versions they and their owners."""
        ...

    async def headed_leads(self, ids: Sequence[UUID]) -> list[Headed[LeadRow]]:
        """Those that exist, in the order asked for."""
        ...

    async def list_leads(
        self, where: LeadFilter, *, limit: int, after: UUID | None = None
    ) -> list[LeadRow]: ...

    async def totals(self, where: LeadFilter) -> list[StageTotal]:
        """Every stage in the order of `Stage`, empty ones too. Sums are exact."""
        ...


VERSION: Final = 1
"""Raised when the rows come to mean something else, or get other columns: then this view is built anew."""


def project(rows: Rows[LeadRow], recorded: Recorded) -> None:
    """Bring the lead's row up to the event; an event that the row shows already changes nothing."""
    event = recorded.event
    if isinstance(event, LeadCaptured):
        rows.setdefault(event.originator_id, _lead(event, recorded.position))
    elif (row := advance(rows, recorded)) is not None:
        row.changed_at = event.timestamp
        _change(row, event)


def _lead(event: LeadCaptured, position: int) -> LeadRow:
    return LeadRow(
        id=event.originator_id,
        subject_id=event.subject_id,
        version=event.originator_version,
        position=position,
        stage=Stage.NEW,
        furthest=Stage.NEW,
        source=event.source,
        captured_at=event.timestamp,
        changed_at=event.timestamp,
        campaign=event.campaign,
        product=event.product,
        organisation=event.organisation,
        country=event.country,
        customer_id=event.customer_id,
        owner_id=event.owner_id,
        currency=event.currency,
        expected_close_on=event.expected_close_on,
        name=event.name,
        email=event.email,
        phone=event.phone,
        note=event.note,
    )


def _change(row: LeadRow, event: Event) -> None:
    match event:
        case LeadContacted():
            if row.stage is Stage.NEW:
                _reach(row, Stage.ENGAGED)
            row.engaged_at = row.engaged_at or event.timestamp
        case LeadQualified():
            _reach(row, Stage.QUALIFIED)
            _value(row, event.value)
            row.qualified_at = event.timestamp
            row.expected_close_on = event.expected_close_on or row.expected_close_on
        case LeadProposed():
            _reach(row, Stage.PROPOSED)
            _value(row, event.value)
            row.proposed_at = event.timestamp
        case LeadRevalued():
            _value(row, event.value)
        case LeadAssigned():
            row.owner_id = event.owner_id
        case LeadLinked():
            row.customer_id = event.customer_id
        case LeadWon():
            _reach(row, Stage.WON)
            _value(row, event.value)
            row.closed_at = event.timestamp
        case LeadLost():
            row.stage, row.cause, row.closed_at = Stage.LOST, event.cause, event.timestamp
        case LeadDisqualified():
            row.stage, row.closed_at = Stage.DISQUALIFIED, event.timestamp
        case LeadReopened():
            row.stage, row.cause, row.closed_at = Stage.ENGAGED, None, None
            row.furthest = max(row.furthest, Stage.ENGAGED, key=FUNNEL.index)


def _reach(row: LeadRow, stage: Stage) -> None:
    row.stage = stage
    row.furthest = max(row.furthest, stage, key=FUNNEL.index)


def _value(row: LeadRow, value: Money) -> None:
    row.value, row.currency = value.amount, value.currency
