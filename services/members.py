"""What can be asked of members of staff: one method a command, named as the aggregate names it."""

from datetime import date
from typing import Unpack
from uuid import UUID

from domain.member.aggregate import Joining, Member
from services.application import Application, Target
from services.ports import CommandContext, Outcome


class Members:
    """Commands to members. Each answers with the version and the log position it led to."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def register(
        self, *, id: UUID, subject_id: UUID, context: CommandContext, **facts: Unpack[Joining]
    ) -> Outcome:
        return await self._application.create(
            lambda: Member.register(id=id, subject_id=subject_id, **facts), context=context
        )

    async def move(
        self,
        *,
        team: str | None = None,
        office: str | None = None,
        manager_id: UUID | None = None,
        **to: Unpack[Target],
    ) -> Outcome:
        return await self._application.change(
            Member, decide=lambda member: member.move(team=team, office=office, manager_id=manager_id), **to
        )

    async def leave(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Member, decide=lambda member: member.leave(), **to)

    async def train(
        self, *, course: str, version: str, on: date, expires_on: date | None = None, **to: Unpack[Target]
    ) -> Outcome:
        return await self._application.change(
            Member,
            decide=lambda member: member.train(course=course, version=version, on=on, expires_on=expires_on),
            **to,
        )

    async def acknowledge(
        self, *, policy: str, version: str, on: date, expires_on: date | None = None, **to: Unpack[Target]
    ) -> Outcome:
        return await self._application.change(
            Member,
            decide=lambda member: member.acknowledge(
                policy=policy, version=version, on=on, expires_on=expires_on
            ),
            **to,
        )
