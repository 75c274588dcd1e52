"""Whether there is a lawful basis for a purpose (GDPR, articles 6 and 7): asked by commands and by mailings.

Consents are read from the log, so that a withdrawal that was answered counts at once: there is no stale yes.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import product
from typing import Protocol
from uuid import UUID, uuid5

from domain.activity.aggregate import Activity
from domain.catalogue import layout
from domain.consent.events import ConsentExpired, ConsentGiven, ConsentWithdrawn
from domain.customer.events import CustomerRegistered
from domain.model import Event
from domain.values import Channel, LawfulBasis
from services.activities import activity_of
from services.application import replay
from services.ports import NOTHING_STANDS, Clock, Commit, EventStore, KeyRing, Refused, Standing

PROCESSING = frozenset({"customer", "lead", "ticket"})
"""What is processed for a purpose, by kind of record: to carry out people's rights needs no consent."""

Registration = tuple[LawfulBasis, str]
"""The basis on which a customer is held, and the purpose for which."""


class UnknownPurpose(Refused):
    """The register of processing has no activity of this code."""


class PurposeRetired(Refused):
    """Nothing is processed for this purpose any more."""


class NoLawfulBasis(Refused):
    """The purpose needs the person's consent, and there is none that still holds."""


class Why(StrEnum):
    """What a verdict rests on."""

    CONSENT = "consent"
    """A consent that still holds, through this channel or through all."""
    REGISTRATION = "registration"
    """The person is held as a customer on the activity's basis, for this very purpose."""
    ACTIVITY = "activity"
    """The activity's own basis: it needs no consent."""
    NO_CONSENT = "no_consent"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    RESTRICTED = "restricted"
    ERASED = "erased"


ALLOWED = frozenset({Why.CONSENT, Why.REGISTRATION, Why.ACTIVITY})


@dataclass(frozen=True, slots=True)
class Lawful:
    """The answer for one person. `until` is the last day of the consent it rests on, where it has one."""

    why: Why
    until: date | None = None

    @property
    def allowed(self) -> bool:
        return self.why in ALLOWED


class LastEvents(Protocol):
    """The log, asked how records ended so far."""

    async def last_of(self, ids: Collection[UUID]) -> Mapping[UUID, Event]:
        """The last event of each record that there is, in one question, and never from memory."""
        ...


class Registrations(Protocol):
    """How people are held as customers. It may lag: then somebody new is not known yet."""

    async def of(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Set[Registration]]: ...


def consent_of(subject_id: UUID, purpose: str, channel: Channel | None) -> UUID:
    """The id of the person's consent to the purpose through the channel, or through all."""
    return uuid5(subject_id, f"consent/{purpose}/{channel or 'any'}")


class Lawfulness:
    """Says for whom there is a lawful basis, and refuses commands whose purpose has none."""

    def __init__(
        self,
        store: EventStore,
        *,
        last: LastEvents,
        registrations: Registrations,
        ring: KeyRing,
        clock: Clock,
    ) -> None:
        self._store = store
        self._last = last
        self._registrations = registrations
        self._ring = ring
        self._clock = clock

    async def check(
        self, subject_ids: Collection[UUID], purpose: str, channel: Channel | None, at: datetime
    ) -> Mapping[UUID, Lawful]:
        """An answer for each, as things stand, about the day of `at` (UTC).

        Without a `channel` a consent through any of them counts. Raises `UnknownPurpose` or `PurposeRetired`.
        """
        activity = await self.activity(purpose)
        standings = await self._ring.standings(subject_ids)
        based = await self._based(activity, subject_ids, channel, at.date())
        return {
            it: _heeding(standings.get(it, NOTHING_STANDS)) or based[it] for it in dict.fromkeys(subject_ids)
        }

    async def require(self, commit: Commit) -> None:
        """Refuse a commit whose purpose is unknown or retired, or needs a consent that there is not.

        Raises `UnknownPurpose`, `PurposeRetired` or `NoLawfulBasis`.
        """
        assert commit.context.purpose is not None  # noqa: S101 - asked before
        activity = await self.activity(commit.context.purpose)
        people = _people(commit.events)
        if not activity.consent_needed or not people:
            return
        own = {(it.lawful_basis, it.purpose) for it in commit.events if isinstance(it, CustomerRegistered)}
        if _registered(activity, own):
            return
        today = self._clock.now().date()
        for subject_id, verdict in (await self._based(activity, people, None, today)).items():
            if not verdict.allowed:
                raise NoLawfulBasis(subject_id)

    async def activity(self, purpose: str) -> Activity:
        """The living activity of this code. Raises `UnknownPurpose` or `PurposeRetired`."""
        id = activity_of(purpose)
        events = (await self._store.load(id)).events
        if not events:
            raise UnknownPurpose(id)
        activity = replay(Activity, id, events)
        if activity.retired:
            raise PurposeRetired(id)
        return activity

    async def _based(
        self, activity: Activity, subject_ids: Collection[UUID], channel: Channel | None, today: date
    ) -> Mapping[UUID, Lawful]:
        if not activity.consent_needed:
            return dict.fromkeys(subject_ids, Lawful(Why.ACTIVITY))
        channels = (None, *Channel) if channel is None else (None, channel)
        ids = {
            pair: consent_of(pair[0], activity.code, pair[1])
            for pair in product(dict.fromkeys(subject_ids), channels)
        }
        last = await self._last.last_of(list(ids.values()))
        found = {
            it: _best(
                _judged(last.get(ids[it, None]), last.get(ids[it, special]), today)
                for special in channels[1:]
            )
            for it in subject_ids
        }
        silent = [it for it, verdict in found.items() if verdict.why is Why.NO_CONSENT]
        held = await self._registrations.of(silent) if silent else {}
        return found | {
            it: Lawful(Why.REGISTRATION) for it in silent if _registered(activity, held.get(it, set()))
        }


def _heeding(standing: Standing) -> Lawful | None:
    if standing.erased:
        return Lawful(Why.ERASED)
    return Lawful(Why.RESTRICTED) if standing.restricted else None


def _judged(general: Event | None, special: Event | None, today: date) -> Lawful:
    """About one channel: the consent to all of them, and the one to this channel, as each was left last.

    Who takes one of the two back has the last word over the other, if that is older.
    """
    ends = [it for it in (general, special) if it is not None]
    given = [it for it in ends if isinstance(it, ConsentGiven) and _holds(it, today)]
    withdrawn = [it for it in ends if isinstance(it, ConsentWithdrawn)]
    living = [it for it in given if all(it.timestamp > no.timestamp for no in withdrawn)]
    if living:
        return _best(Lawful(Why.CONSENT, it.expires_on) for it in living)
    if withdrawn:
        return Lawful(Why.WITHDRAWN)
    gone = any(isinstance(it, ConsentGiven | ConsentExpired) for it in ends)
    return Lawful(Why.EXPIRED if gone else Why.NO_CONSENT)


def _holds(consent: ConsentGiven, today: date) -> bool:
    return consent.expires_on is None or today <= consent.expires_on


def _best(verdicts: Iterable[Lawful]) -> Lawful:
    """A consent that holds, the longest; else the plainest reason why there is none."""
    order = (Why.CONSENT, Why.WITHDRAWN, Why.EXPIRED, Why.NO_CONSENT)
    ranked = sorted(verdicts, key=lambda it: (order.index(it.why), -(it.until or date.max).toordinal()))
    return ranked[0] if ranked else Lawful(Why.NO_CONSENT)


def _registered(activity: Activity, held: Collection[Registration]) -> bool:
    purposes = {activity.code, activity.says["name"]}
    return any(basis is activity.lawful_basis and purpose in purposes for basis, purpose in held)


def _people(events: Iterable[Event]) -> set[UUID]:
    """Whose data the events of a processed record add; of one that adds none, whom it is about."""
    named: set[UUID] = set()
    adding: set[UUID] = set()
    for event in events:
        declared = layout(type(event))
        if declared.aggregate not in PROCESSING:
            continue
        named |= {getattr(event, name) for name in declared.subjects}
        adding |= {
            getattr(event, it.subject)
            for name, it in declared.personal.items()
            if getattr(event, name) is not None
        }
    return adding or named
