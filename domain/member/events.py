"""What can happen to a member of staff."""

from typing import ClassVar
from uuid import UUID

from domain.model import Contact, Created, DataSubject, Event, Identity, Public
from domain.values import EmailAddress


class MemberRegistered(Created):
    """Somebody works here; every other event names them by id only."""

    TOPIC: ClassVar[str] = "member.registered"
    subject_id: DataSubject
    team: Public[str | None] = None
    office: Public[str | None] = None
    manager_id: Public[UUID | None] = None
    name: Identity[str]
    email: Contact[EmailAddress] = None


class MemberMoved(Event):
    """Team, office and manager from now on: all three."""

    TOPIC: ClassVar[str] = "member.moved"
    subject_id: DataSubject
    team: Public[str | None] = None
    office: Public[str | None] = None
    manager_id: Public[UUID | None] = None


class MemberLeft(Event):
    """They do not work here any more."""

    TOPIC: ClassVar[str] = "member.left"
    subject_id: DataSubject
