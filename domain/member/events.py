"""What can happen to a member of staff."""

from datetime import date
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


class MemberTrained(Event):
    """They took this version of a course; what they learnt counts to the end of `expires_on`, if it ends."""

    TOPIC: ClassVar[str] = "member.trained"
    subject_id: DataSubject
    course: Public[str]
    version: Public[str]
    on: Public[date]
    expires_on: Public[date | None] = None


class MemberAcknowledged(Event):
    """They read this version of a policy and will keep to it; to the end of `expires_on`, if it ends."""

    TOPIC: ClassVar[str] = "member.acknowledged"
    subject_id: DataSubject
    policy: Public[str]
    version: Public[str]
    on: Public[date]
    expires_on: Public[date | None] = None
