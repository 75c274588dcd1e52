"""What may happen to a member of staff, and what not."""

from typing import NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.member.events import MemberLeft, MemberMoved, MemberRegistered
from domain.model import Aggregate, DomainError, Event
from domain.values import EmailAddress


class MemberWithoutName(DomainError):
    """A member is held by name."""


class MemberHasLeft(DomainError):
    """Who has left is not moved any more."""


class MemberManagesThemself(DomainError):
    """A member's manager is somebody else."""


class Joining(TypedDict):
    """What a member is registered with, named as in `MemberRegistered`."""

    name: str
    email: NotRequired[EmailAddress | None]
    team: NotRequired[str | None]
    office: NotRequired[str | None]
    manager_id: NotRequired[UUID | None]


class Member(Aggregate):
    """Somebody who works here: owners, agents and actors are members."""

    TOPIC = "member"

    @classmethod
    def register(cls, *, id: UUID, subject_id: UUID, **facts: Unpack[Joining]) -> Self:
        if not facts["name"].strip():
            raise MemberWithoutName(id)
        if facts.get("manager_id") == id:
            raise MemberManagesThemself(id)
        return cls._create(MemberRegistered, id=id, subject_id=subject_id, **facts)

    def move(
        self, *, team: str | None = None, office: str | None = None, manager_id: UUID | None = None
    ) -> None:
        if self.left:
            raise MemberHasLeft(self.id)
        if manager_id == self.id:
            raise MemberManagesThemself(self.id)
        if (team, office, manager_id) != self.place:
            self.trigger_event(MemberMoved, team=team, office=office, manager_id=manager_id)

    def leave(self) -> None:
        if not self.left:
            self.trigger_event(MemberLeft)

    def evolve(self, event: Event) -> None:
        match event:
            case MemberRegistered():
                self.subject_id = event.subject_id
                self.place = (event.team, event.office, event.manager_id)
                self.left = False
            case MemberMoved():
                self.place = (event.team, event.office, event.manager_id)
            case MemberLeft():
                self.left = True
