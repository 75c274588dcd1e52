"""What subscribers open: of the events they name what they are granted now, if it may be seen at all.

They name positions, never boxes: what is opened is what the log has there, and each use can be told.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from domain.model import Category, Erased, Sealed
from services.lawfulness import Lawfulness, PurposeRetired, UnknownPurpose
from services.ports import NOTHING_STANDS, Clock, KeyRing, Refused, Unsealer
from services.subscribers import Subscribers


class PositionNotReached(Refused):
    """The log has not come to one of these positions yet."""


class SealedValues(Protocol):
    """Reads personal values from the log, in their boxes."""

    async def at(self, positions: Sequence[int]) -> Mapping[int, Mapping[str, Sealed]]:
        """The handles of the events at these positions, by stored field name; absent where there is no event.

        Raises `PositionNotReached` where there may be one yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """The personal fields of one event: clear, or None where their category is `erased` or `withheld`.

    Withheld is what the subscriber is not granted, what is of a person whose processing is restricted, and
    what has no lawful basis for the purpose of the grant.
    """

    position: int
    values: dict[str, str | None] = field(default_factory=dict)
    erased: set[Category] = field(default_factory=set)
    withheld: set[Category] = field(default_factory=set)


@dataclass(slots=True)
class Use:
    """What was opened for one purpose: whose data, which of it, and from how many events."""

    subjects: set[UUID] = field(default_factory=set)
    categories: set[Category] = field(default_factory=set)
    events: int = 0


Judge = Callable[[Sealed], bool]


class Unsealing:
    """Opens for subscribers. Grants, erasures and restrictions are asked each time, and never from memory."""

    def __init__(
        self,
        subscribers: Subscribers,
        *,
        sealed: SealedValues,
        unsealer: Unsealer,
        ring: KeyRing,
        lawfulness: Lawfulness,
        clock: Clock,
    ) -> None:
        self._subscribers = subscribers
        self._sealed = sealed
        self._unsealer = unsealer
        self._ring = ring
        self._lawfulness = lawfulness
        self._clock = clock

    async def open(
        self, subscriber_id: UUID, positions: Sequence[int]
    ) -> tuple[list[Opened], Mapping[str, Use]]:
        """What each event holds, in the order asked for; and what of that is shown, by purpose: note it.

        Raises `NotASubscriber` or `PositionNotReached`.
        """
        grants = (await self._subscribers.living(subscriber_id)).grants
        found = await self._sealed.at(positions)
        handles = [it for fields in found.values() for it in fields.values()]
        granted = [it for it in handles if it.category in grants]
        clear = await self._unsealer.open(granted)
        lawful = await self._lawful(grants, granted)
        # Last: what was erased since is not shown, though its box is open.
        standings = await self._ring.standings({it.subject_id for it in handles})
        uses: dict[str, Use] = {}

        def opened(position: int) -> Opened:
            one, purposes = Opened(position), set()
            for name, it in found.get(position, {}).items():
                standing = standings.get(it.subject_id, NOTHING_STANDS)
                value = clear.get(it)
                one.values[name] = None
                if standing.erased or it.category in standing.erased_categories or isinstance(value, Erased):
                    one.erased.add(it.category)
                elif value is None or standing.restricted or not lawful(it):
                    one.withheld.add(it.category)
                else:
                    one.values[name] = value
                    purposes.add(grants[it.category])
                    use = uses.setdefault(grants[it.category], Use())
                    use.subjects.add(it.subject_id)
                    use.categories.add(it.category)
            for purpose in purposes:
                uses[purpose].events += 1
            return one

        return [opened(it) for it in dict.fromkeys(positions)], uses

    async def _lawful(self, grants: Mapping[Category, str], granted: Iterable[Sealed]) -> Judge:
        """Whether a grant's purpose has a basis for the person, where the register knows the purpose."""
        people: dict[str, set[UUID]] = {}
        for it in granted:
            people.setdefault(grants[it.category], set()).add(it.subject_id)
        allowed = {purpose: await self._allowed(purpose, whom) for purpose, whom in people.items()}
        return lambda it: it.subject_id in allowed[grants[it.category]]

    async def _allowed(self, purpose: str, subject_ids: set[UUID]) -> set[UUID]:
        try:
            verdicts = await self._lawfulness.check(subject_ids, purpose, None, self._clock.now())
        except UnknownPurpose:
            return subject_ids
        except PurposeRetired:
            return set()
        return {id for id, verdict in verdicts.items() if verdict.allowed}
