"""Applies events in each record's order: each once, none over a gap, none past one that failed."""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from lethe_subscriber.decoding import decode
from lethe_subscriber.errors import Gap, HandlerEndedTransaction, NewerVersion, NotOfItsForm, Unreachable
from lethe_subscriber.events import EVENTS
from lethe_subscriber.ledger import BEHIND, FAILED, GAP, DeadLetter, Ledger
from lethe_subscriber.received import Received
from lethe_subscriber.sources import Page, Source
from lethe_subscriber.stores import Store
from lethe_subscriber.values import Event, Personal

TRANSACTION_SECONDS_MAX: Final = 1.0
ERASED: Final = "subject.erased"

Handlers = Mapping[str, tuple[type[Event], Callable[[Any, Any], None]]]
"""The class and the handler of each type."""
Opened = Mapping[int, Mapping[str, Personal]]
"""What is in the boxes of the event at a position, by field."""

log = logging.getLogger("lethe_subscriber")


@dataclass(slots=True)
class Counts:
    """What became of the events since this object was made."""

    handled: int = 0
    passed_over: int = 0
    """No handler is for their type."""
    unknown: int = 0
    """Of those: a type that this release of the client does not know."""
    repeated: int = 0
    """Delivered again after they had been settled, or parked."""
    parked: int = 0
    """Put among the dead letters."""


class Applying:
    """One subscriber's handlers, over its store."""

    def __init__(self, store: Store[Any], ledger: Ledger, handlers: Handlers, source: Source) -> None:
        self.store = store
        self.ledger = ledger
        self.handlers = handlers
        self.source = source
        self.counts = Counts()
        self.healed = False
        """Whether an event came for which parked ones may wait."""

    def apply(self, page: Page, opened: Opened, stop: Callable[[], bool]) -> int:
        """Settle the page in one transaction, or its beginning; how many events that was.

        It ends early when asked to stop, and after a second, so that nobody waits long for the store.
        """
        until = time.monotonic() + TRANSACTION_SECONDS_MAX
        aggregates = {it.aggregate_id for it in page.events}
        counts = Counts()
        count = 0
        with self.store.transaction():
            known = self.ledger.versions(aggregates, reserved=True)
            before = dict(known)
            parked = self.ledger.last_parked(aggregates)
            for event in page.events:
                self._take(event, known, parked, opened, counts)
                count += 1
                if stop() or time.monotonic() > until:
                    break
            self.ledger.settle({it: version for it, version in known.items() if version != before[it]})
            self.ledger.advance(self.source.name, page.first(count))
        self._count(counts)
        return count

    def _take(
        self,
        event: Received,
        known: dict[str, int],
        parked: dict[str, int],
        opened: Opened,
        counts: Counts,
    ) -> None:
        aggregate, version = event.aggregate_id, event.version
        settled, waiting = known[aggregate], parked.get(aggregate)
        last = settled if waiting is None else waiting
        follows = version == last + 1 or self.source.partial or (self.source.begins_later and last == 0)
        if version <= settled or (version <= last and self.ledger.letter(event.id) is not None):
            counts.repeated += 1
            return
        if version == settled + 1 or (follows and waiting is None):
            error = self._handle(event, opened.get(event.position, {}), counts)
            if error is None:
                known[aggregate] = version
                self.healed |= waiting is not None
                return
            cause = FAILED
        elif follows:
            cause, error = BEHIND, "waits for an earlier event of its record"
        else:
            cause, error = GAP, _missing(last if last < version else settled, version)
        self._park(event, cause, error, counts)
        parked[aggregate] = max(version, waiting or 0)

    def _park(self, event: Received, cause: str, error: str, counts: Counts) -> None:
        self.ledger.park(event, cause, error)
        counts.parked += 1
        log.error(
            "parked %s %s, version %d of %s: %s",
            event.type,
            event.id,
            event.version,
            event.aggregate_id,
            error,
        )

    def _handle(self, event: Received, opened: Mapping[str, Personal], counts: Counts) -> str | None:
        """Run the handler inside a savepoint. What went wrong, where something did."""
        if event.type not in self.handlers:
            counts.passed_over += 1
            counts.unknown += event.type not in EVENTS
            return None
        cls, handler = self.handlers[event.type]
        try:
            with self.store.savepoint():
                handler(decode(cls, event, opened), self.store.connection)
                if event.type == ERASED and self.source.api is not None:
                    self.ledger.owe(event.aggregate_id)
        except (HandlerEndedTransaction, Unreachable):
            raise
        except Exception as error:
            if self.store.is_outage(error):
                raise
            return describe(error)
        counts.handled += 1
        return None

    def drain(self, letter: DeadLetter, opened: Opened, *, despite_gap: bool = False) -> "Drained":
        """Apply the first letter of a record, in a transaction of its own. Raises `Gap`."""
        counts = Counts()
        with self.store.transaction():
            settled = self.ledger.versions([letter.aggregate_id], reserved=True)[letter.aggregate_id]
            waiting = self.ledger.letters(letter.aggregate_id)
            if not waiting or waiting[0].id != letter.id:
                return Drained(False, None)  # another was quicker
            if letter.cause == GAP and letter.version > settled + 1 and not despite_gap:
                raise Gap(_missing(settled, letter.version))
            if letter.version > settled:
                error = self._handle(letter.event, opened.get(letter.event.position, {}), counts)
                if error is not None:
                    self.ledger.park(letter.event, FAILED, error)
                    log.error("failed again: %s %s: %s", letter.type, letter.id, error)
                    return Drained(False, None)
            self.ledger.remove(letter)
            following = self._settle_letter(letter, settled)
        self._count(counts)
        return Drained(True, following)

    def skip(self, letter: DeadLetter, reason: str) -> DeadLetter | None:
        """Go on without the first letter of a record; the next one, where its turn has come."""
        with self.store.transaction():
            settled = self.ledger.versions([letter.aggregate_id], reserved=True)[letter.aggregate_id]
            self.ledger.mark_skipped(letter, reason)
            following = self._settle_letter(letter, settled)
        log.warning("skipped %s %s", letter.type, letter.id)
        return following

    def ready(self) -> list[DeadLetter]:
        """The first letters of records whose turn has come: the gap before was closed, or what was before
        them is settled."""
        with self.store.transaction():
            firsts = self.ledger.first_letters()
            known = self.ledger.versions(it.aggregate_id for it in firsts)
        return [it for it in firsts if _is_ready(it, known[it.aggregate_id])]

    def _settle_letter(self, letter: DeadLetter, settled: int) -> DeadLetter | None:
        settled = max(settled, letter.version)
        self.ledger.settle({letter.aggregate_id: settled})
        waiting = self.ledger.letters(letter.aggregate_id)
        return waiting[0] if waiting and _is_ready(waiting[0], settled) else None

    def _count(self, counts: Counts) -> None:
        """Count what is stored; what was undone will come again."""
        for name in Counts.__slots__:
            setattr(self.counts, name, getattr(self.counts, name) + getattr(counts, name))


class Drained(NamedTuple):
    """What became of a letter: whether it is done with, and which one's turn has come then."""

    done: bool
    following: DeadLetter | None


def _is_ready(letter: DeadLetter, settled: int) -> bool:
    return letter.cause == BEHIND or (letter.cause == GAP and letter.version <= settled + 1)


def describe(error: Exception) -> str:
    """What was raised, and where: the text of a handler's error may hold what is personal."""
    if isinstance(error, NewerVersion | NotOfItsForm):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _missing(last: int, version: int) -> str:
    first, end = last + 1, version - 1
    return f"version {first} is missing" if first == end else f"versions {first} to {end} are missing"
