"""How long personal data is kept: policies by kind of record and category, and what they say of a person.

A category of a person's data is due once every record that names them, and holds data of that category, is
past its policy. A record without a policy, or still in work, keeps it; so do a legal hold and a restriction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Unpack
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.catalogue import AGGREGATES, layout
from domain.model import Category
from domain.retention.aggregate import LAST_ACTIVITY, Retention, Term
from services.application import Application, Target
from services.lasting import begin_or_change
from services.ports import CommandContext, Outcome, Refused, Standing

POLICIES = uuid5(NAMESPACE_URL, "urn:lethe:retention")


def _categories(kind: str, *, of_part: bool) -> frozenset[Category]:
    fields = (it for event in AGGREGATES[kind] for it in layout(event).personal.values())
    return frozenset(it.category for it in fields if (it.subject != "subject_id") is of_part)


CATEGORIES_OF: Mapping[str, frozenset[Category]] = MappingProxyType(
    {kind: _categories(kind, of_part=False) for kind in AGGREGATES}
)
"""The categories that records of each kind hold of the person they are about, by the catalogue of events."""

CATEGORIES_OF_PART: Mapping[str, frozenset[Category]] = MappingProxyType(
    {kind: _categories(kind, of_part=True) for kind in AGGREGATES}
)
"""The same of others whom they name, such as the contacts of a customer."""

TAKES_BACK: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "consent.expired": frozenset({"consent.given"}),
        "consent.withdrawn": frozenset({"consent.given"}),
        "customer.archived": frozenset({"customer.reinstated"}),
        "customer.contact_removed": frozenset({"customer.contact_added"}),
        "lead.disqualified": frozenset({"lead.reopened"}),
        "lead.lost": frozenset({"lead.reopened"}),
        "ticket.closed": frozenset({"ticket.reopened"}),
        "ticket.resolved": frozenset({"ticket.reopened"}),
    }
)
"""What takes an event back, so that days do not count from it any more."""

OF_PART = frozenset({"customer.contact_added", "customer.contact_removed"})
"""Events that count only for the person of whom they tell, not for everybody in the record."""


class NothingToRetain(Refused):
    """Records of this kind hold no personal data of this category."""


class NotAStart(Refused):
    """Days count from an event of this kind of record, or from `last_activity`."""


def policy_of(kind: str, category: Category) -> UUID:
    """The id of the policy, whether there is one or not."""
    return uuid5(POLICIES, f"{kind}/{category}")


class Retentions:
    """Commands to retention policies."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def set(
        self, *, kind: str, category: Category, context: CommandContext, **term: Unpack[Term]
    ) -> Outcome:
        """Raises `NothingToRetain` or `NotAStart`."""
        id = policy_of(kind, category)
        if category not in CATEGORIES_OF.get(kind, frozenset()) | CATEGORIES_OF_PART.get(kind, frozenset()):
            raise NothingToRetain(id)
        if not {it.TOPIC for it in AGGREGATES[kind]}.union({LAST_ACTIVITY}).issuperset(term["after"]):
            raise NotAStart(id)
        return await begin_or_change(
            self._application,
            Retention,
            id,
            begin=lambda: Retention.set_first(id=id, kind=kind, category=category, **term),
            change=lambda policy: policy.set(**term),
            context=context,
        )

    async def withdraw(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Retention, decide=Retention.withdraw, **to)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in force: so many days after the latest of the events `after`."""

    kind: str
    category: Category
    days: int
    after: tuple[str, ...]


Policies = Mapping[tuple[str, Category], Policy]


@dataclass(frozen=True, slots=True)
class Holding:
    """A record that names a person: its last event's time, and the last place and time of certain events.

    `part`: it is about somebody else, and names the person beside them.
    """

    record_id: UUID
    kind: str
    last_activity: datetime
    latest: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)
    part: bool = False

    @property
    def categories(self) -> frozenset[Category]:
        """What it holds of the person."""
        of_kind = CATEGORIES_OF_PART if self.part else CATEGORIES_OF
        return of_kind.get(self.kind, frozenset())


class Because(StrEnum):
    """Why data is kept."""

    NO_POLICY = "no_policy"
    """A record has no policy for the category: it is kept without an end."""
    IN_WORK = "in_work"
    """The event from which the days count has not happened."""
    NOT_YET = "not_yet"
    """The days are not over."""
    HELD = "held"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Keep:
    """A reason to keep data: of a record, where it is the record's; `until` where that is known."""

    because: Because
    record_id: UUID | None = None
    kind: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A category of a person's data of which at least one record is past its policy, since `since`.

    It goes where nothing keeps it.
    """

    subject_id: UUID
    category: Category
    since: datetime
    keeps: tuple[Keep, ...]

    @property
    def due(self) -> bool:
        return not self.keeps


def watched(policies: Policies) -> list[str]:
    """The events whose last places the policies ask for."""
    starts = {it for policy in policies.values() for it in policy.after if it != LAST_ACTIVITY}
    return sorted(starts.union(*(TAKES_BACK.get(it, ()) for it in starts)))


def findings(
    subject_id: UUID, holdings: Sequence[Holding], policies: Policies, standing: Standing, at: datetime
) -> list[Finding]:
    """What the policies say at that moment of each category of one person's data."""
    if standing.erased:
        return []
    categories = {category for _, category in policies} - standing.erased_categories
    found = (_find(subject_id, it, holdings, policies, standing, at) for it in sorted(categories))
    return [it for it in found if it is not None]


def _find(
    subject_id: UUID,
    category: Category,
    holdings: Sequence[Holding],
    policies: Policies,
    standing: Standing,
    at: datetime,
) -> Finding | None:
    keeps: list[Keep] = []
    past: list[datetime] = []
    for holding in holdings:
        if category not in holding.categories:
            continue
        kept = _kept(holding, policies.get((holding.kind, category)), at)
        if isinstance(kept, Keep):
            keeps.append(kept)
        else:
            past.append(kept)
    if not past:
        return None
    if standing.held:
        keeps.append(Keep(Because.HELD))
    if standing.restricted:
        keeps.append(Keep(Because.RESTRICTED))
    return Finding(subject_id, category, max(past), tuple(keeps))


def _kept(holding: Holding, policy: Policy | None, at: datetime) -> Keep | datetime:
    """Why the record keeps the category; or since when it does not any more."""
    if policy is None:
        return Keep(Because.NO_POLICY, holding.record_id, holding.kind)
    start = _start(holding, policy.after)
    if start is None:
        return Keep(Because.IN_WORK, holding.record_id, holding.kind)
    end = start + timedelta(days=policy.days)
    return end if end <= at else Keep(Because.NOT_YET, holding.record_id, holding.kind, end)


def _start(holding: Holding, after: Collection[str]) -> datetime | None:
    if LAST_ACTIVITY in after:
        return holding.last_activity
    standing = [
        (place, moment)
        for topic in after
        if topic in holding.latest
        for place, moment in [holding.latest[topic]]
        if all(holding.latest.get(it, (0,))[0] < place for it in TAKES_BACK.get(topic, ()))
    ]
    return max(standing)[1] if standing else None
