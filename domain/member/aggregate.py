"""What may happen to a member of staff, and what not."""

from collections.abc import Mapping
from datetime import date
from typing import NotRequired, Self, TypedDict, Unpack
from uuid import UUID

from domain.member.events import (
    MemberAcknowledged,
    MemberLeft,
    MemberMoved,
    MemberRegistered,
    MemberTrained,
)
from domain.model import Aggregate, DomainError, Event
from domain.values import EmailAddress


class MemberWithoutName(DomainError):
    """A member is held by name."""


class MemberHasLeft(DomainError):
    """Who has left is not moved, and learns nothing here, any more."""


class MemberManagesThemself(DomainError):
    """A member's manager is somebody else."""


class ExpiresBeforeItBegins(DomainError):
    """What somebody learnt or acknowledged does not expire before that day."""


class Joining(TypedDict):
    """What a member is registered with, named as in `MemberRegistered`."""

    name: str
    email: NotRequired[EmailAddress | None]
    team: NotRequired[str | None]
    office: NotRequired[str | None]
    manager_id: NotRequired[UUID | None]


Term = tuple[str, date, date | None]
"""Which version, since when, and the last day it counts."""


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

    def train(self, *, course: str, version: str, on: date, expires_on: date | None = None) -> None:
        self._check_term(on, expires_on)
        if self.trained.get(course) != (version, on, expires_on):
            self.trigger_event(MemberTrained, course=course, version=version, on=on, expires_on=expires_on)

    def acknowledge(self, *, policy: str, version: str, on: date, expires_on: date | None = None) -> None:
        self._check_term(on, expires_on)
        if self.acknowledged.get(policy) != (version, on, expires_on):
            self.trigger_event(
                MemberAcknowledged, policy=policy, version=version, on=on, expires_on=expires_on
            )

    def _check_term(self, on: date, expires_on: date | None) -> None:
        if self.left:
            raise MemberHasLeft(self.id)
        if expires_on is not None and expires_on < on:
            raise ExpiresBeforeItBegins(self.id)

    def evolve(self, event: Event) -> None:
        match event:
            case MemberRegistered():
                self.subject_id = event.subject_id
                self.place = (event.team, event.office, event.manager_id)
                self.left = False
                self.trained: Mapping[str, Term] = {}
                self.acknowledged: Mapping[str, Term] = {}
            case MemberMoved():
                self.place = (event.team, event.office, event.manager_id)
            case MemberLeft():
                self.left = True
            case MemberTrained(course=course):
                self.trained = {**self.trained, course: (event.version, event.on, event.expires_on)}
            case MemberAcknowledged(policy=policy):
                self.acknowledged = {**self.acknowledged, policy: (event.version, event.on, event.expires_on)}
