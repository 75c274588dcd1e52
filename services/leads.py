"""What can be asked of leads: one method a command, named as the aggregate names it."""

from datetime import date
from typing import Unpack
from uuid import UUID

from domain.lead.aggregate import Capture, Lead
from domain.values import Channel, LossReason, Money
from services.application import Application, Target
from services.ports import CommandContext, Outcome


class Leads:
    """Commands to leads. Each answers with the version and the log position it led to."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def capture(
        self, *, id: UUID, subject_id: UUID, context: CommandContext, **facts: Unpack[Capture]
    ) -> Outcome:
        return await self._application.create(
            lambda: Lead.capture(id=id, subject_id=subject_id, **facts), context=context
        )

    async def contact(
        self, *, channel: Channel | None = None, note: str | None = None, **to: Unpack[Target]
    ) -> Outcome:
        return await self._application.change(
            Lead, decide=lambda lead: lead.contact(channel=channel, note=note), **to
        )

    async def qualify(
        self, *, value: Money, expected_close_on: date | None = None, **to: Unpack[Target]
    ) -> Outcome:
        return await self._application.change(
            Lead, decide=lambda lead: lead.qualify(value=value, expected_close_on=expected_close_on), **to
        )

    async def propose(
        self, *, value: Money, valid_until: date | None = None, **to: Unpack[Target]
    ) -> Outcome:
        return await self._application.change(
            Lead, decide=lambda lead: lead.propose(value=value, valid_until=valid_until), **to
        )

    async def revalue(self, *, value: Money, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Lead, decide=lambda lead: lead.revalue(value=value), **to)

    async def assign(self, *, owner_id: UUID | None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Lead, decide=lambda lead: lead.assign(owner_id=owner_id), **to)

    async def link(self, *, customer_id: UUID, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Lead, decide=lambda lead: lead.link(customer_id=customer_id), **to
        )

    async def win(self, *, value: Money, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Lead, decide=lambda lead: lead.win(value=value), **to)

    async def lose(self, *, cause: LossReason, note: str | None = None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Lead, decide=lambda lead: lead.lose(cause=cause, note=note), **to
        )

    async def disqualify(self, *, note: str | None = None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Lead, decide=lambda lead: lead.disqualify(note=note), **to)

    async def reopen(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Lead, decide=lambda lead: lead.reopen(), **to)
