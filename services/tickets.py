"""What can be asked of tickets: one method a command, named as the aggregate names it."""

from typing import Unpack
from uuid import UUID

from domain.ticket.aggregate import Opening, Ticket
from domain.values import Channel, Level, SupportLine
from services.application import Application, Target
from services.ports import CommandContext, Outcome


class Tickets:
    """Commands to tickets. Each answers with the version and the log position it led to."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def open(
        self, *, id: UUID, subject_id: UUID, context: CommandContext, **facts: Unpack[Opening]
    ) -> Outcome:
        return await self._application.create(
            lambda: Ticket.open(id=id, subject_id=subject_id, **facts), context=context
        )

    async def prioritise(self, *, impact: Level, urgency: Level, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.prioritise(impact=impact, urgency=urgency), **to
        )

    async def assign(self, *, team: str, agent_id: UUID | None = None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.assign(team=team, agent_id=agent_id), **to
        )

    async def escalate(self, *, line: SupportLine, team: str | None = None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.escalate(line=line, team=team), **to
        )

    async def progress(self, *, activity: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.progress(activity=activity), **to
        )

    async def send_reply(self, *, channel: Channel, text: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.send_reply(channel=channel, text=text), **to
        )

    async def receive_reply(self, *, channel: Channel, text: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.receive_reply(channel=channel, text=text), **to
        )

    async def write_note(self, *, text: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.write_note(text=text), **to
        )

    async def pause(self, *, waiting_for: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Ticket, decide=lambda ticket: ticket.pause(waiting_for=waiting_for), **to
        )

    async def resume(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Ticket, decide=lambda ticket: ticket.resume(), **to)

    async def resolve(self, *, note: str | None = None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Ticket, decide=lambda ticket: ticket.resolve(note=note), **to)

    async def reopen(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Ticket, decide=lambda ticket: ticket.reopen(), **to)

    async def close(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Ticket, decide=lambda ticket: ticket.close(), **to)
