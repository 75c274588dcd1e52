"""A subscriber: handlers by type of event, run once for each event, in each record's order."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from lethe_subscriber.acknowledging import acknowledge
from lethe_subscriber.applying import ERASED, Applying, Counts
from lethe_subscriber.errors import NoSuchLetter, NotFirst, Refused, SubscriberError, Unreachable
from lethe_subscriber.events import EVENTS
from lethe_subscriber.ledger import TABLES, DeadLetter, Ledger
from lethe_subscriber.pausing import Pause
from lethe_subscriber.received import Received
from lethe_subscriber.sources import Mark, Page, Source
from lethe_subscriber.stopping import Stop
from lethe_subscriber.stores import Store
from lethe_subscriber.unsealing import Unsealer
from lethe_subscriber.values import Event, Personal

C = TypeVar("C")
E = TypeVar("E", bound=Event)

WAIT_SECONDS: Final = 20.0
CAUGHT_UP_SECONDS: Final = 0.5
"""How long nothing may come until a subscriber counts as caught up: what is just being stored still comes."""
ACKNOWLEDGE_AGAIN_SECONDS: Final = 300.0

log = logging.getLogger("lethe_subscriber")


class Subscriber(Generic[C]):
    """Follows a source under a name, and writes into a store.

    Each event's handler runs inside the store's transaction, in which how far it came is stored too: what a
    handler writes there happens once, however often an event is delivered, and in each record's order. With
    `unseal`, personal values are opened as far as the subscriber is granted them.

    Everything is remembered by the name: a new name begins from the beginning. A handler that is added for
    a type of a stream that is followed already sees what comes from then on.
    """

    def __init__(self, name: str, source: Source, store: Store[C], *, unseal: bool = False) -> None:
        if unseal and source.api is None:
            raise SubscriberError("to unseal, the source needs an `Api`")
        self.name = name
        self.source = source
        self.store = store
        self._handlers: dict[str, tuple[type[Event], Callable[[Any, Any], None]]] = {}
        self._ledger = Ledger(name, store)
        self._applying = Applying(store, self._ledger, self._handlers, source)
        self._unsealer = Unsealer(source.api) if unseal and source.api else None
        self._stop = Stop()
        self._pause = Pause()
        self._acknowledge_after = 0.0
        self._is_open = False

    def on(self, *types: type[E]) -> Callable[[Callable[[E, C], None]], Callable[[E, C], None]]:
        """Register the handler of these types of event; a type has one."""

        def register(handler: Callable[[E, C], None]) -> Callable[[E, C], None]:
            for cls in types:
                if cls.TYPE in self._handlers:
                    raise SubscriberError(f"{cls.TYPE} has a handler already")
                self._handlers[cls.TYPE] = cls, handler
            return handler

        return register

    @property
    def counts(self) -> Counts:
        """What became of the events since this object was made."""
        return self._applying.counts

    def run(self, *, until_caught_up: bool = False) -> None:
        """Follow until SIGTERM, SIGINT or `stop`; or until nothing more comes for a second.

        What passes by itself is waited for. Raises `Refused` (`NotAllowed` among them), `AnotherLog` and
        `HandlerEndedTransaction`.
        """
        if not self._handlers:
            raise SubscriberError("there is no handler")
        with self._stop.on_signals():
            try:
                while not self._stop() and not self._followed(until_caught_up):
                    pass
            finally:
                self._close()

    def stop(self) -> None:
        """End `run` after the transaction under way, or when a wait for new events is over (20 s at most).

        For handlers and other threads.
        """
        self._stop.ask()

    def dead_letters(self, *, skipped: bool = False) -> Sequence[DeadLetter]:
        """Events that could not be applied, and those that wait behind them, each record's in order."""
        with self._stored():
            return self._ledger.letters(skipped=skipped)

    def retry(self, id_: str, *, despite_gap: bool = False) -> int:
        """Apply the record's letters, from this first one on; how many could be.

        Raises `NoSuchLetter`, `NotFirst`, and `Gap` where events are missing before it and that is not
        accepted by `despite_gap`.
        """
        with self._stored():
            return self._drain(self._first(id_), despite_gap=despite_gap)

    def skip(self, id_: str, reason: str) -> int:
        """Go on without this event, the first letter of its record; how many of those behind it could be
        applied. It is kept, with the reason. Raises `NoSuchLetter` or `NotFirst`.
        """
        with self._stored():
            return self._drain(self._applying.skip(self._first(id_), reason))

    def _followed(self, until_caught_up: bool) -> bool:
        """Take the next page. Whether there is none, and none is to be waited for."""
        try:
            self._open()
            seconds = CAUGHT_UP_SECONDS if until_caught_up else WAIT_SECONDS
            page = self._stop.waiting(
                lambda: self.source.next(seconds), interruptible=self.source.interruptible
            )
            if page is not None:
                self._take(page)
            self._acknowledge(at_once=until_caught_up and page is None)
            self._pause.over()
            return page is None and until_caught_up and self.source.caught_up()
        except Unreachable as error:
            seconds = self._pause.next(error.seconds)
            log.warning("%s waits for %.1f s: %s", self.name, seconds, error)
            self._close()
            self._stop.sleep(seconds)
            return False

    def _open(self) -> None:
        if self._is_open:
            return
        self.store.open(TABLES)
        self._drain_ready()
        self.source.open(self.name, self._streams(), self._marks)
        self._is_open = True

    def _close(self) -> None:
        self._is_open = False
        self.source.close()
        self.store.close()

    def _marks(self) -> Mapping[str, Mark]:
        with self.store.transaction():
            return self._ledger.marks(self.source.name)

    def _streams(self) -> list[str]:
        """Those of the handlers; and that of erasures, so that what is opened is forgotten in time."""
        types = {*self._handlers, ERASED} if self._unsealer is not None else {*self._handlers}
        return sorted({EVENTS[it].STREAM for it in types})

    def _take(self, page: Page) -> None:
        while True:
            count = self._applying.apply(page, self._opened(page.events), self._stop)
            self.source.settled(page.first(count))
            page = page.rest(count)
            if not page.events or self._stop():
                break
        if self._applying.healed:
            self._applying.healed = False
            self._drain_ready()

    def _opened(self, events: Sequence[Received]) -> dict[int, Mapping[str, Personal]]:
        """The personal values of the events whose handlers will be run: nothing is opened for no use."""
        if self._unsealer is None:
            return {}
        self._unsealer.forget(events)
        handled = [it for it in events if it.type in self._handlers and it.boxes]
        if not handled:
            return {}
        with self.store.transaction():
            aggregates = {it.aggregate_id for it in handled}
            known = self._ledger.versions(aggregates)
            parked = self._ledger.last_parked(aggregates)
        return self._unsealer.open(
            it for it in handled if it.version > known[it.aggregate_id] and it.aggregate_id not in parked
        )

    def _acknowledge(self, *, at_once: bool) -> None:
        """Tell of the erasures whose handlers' effects are stored; twice, if need be: it is noted once."""
        if self.source.api is None or (not at_once and time.monotonic() < self._acknowledge_after):
            return
        with self.store.transaction():
            owed = self._ledger.owed()
        for erasure_id in owed:
            try:
                acknowledge(self.source.api, erasure_id, self.name)
            except Refused as error:
                # Nothing that is followed hangs on it, and on the certificate it is missing for all to see.
                log.error("%s is not acknowledged: %s", erasure_id, error)
                self._acknowledge_after = time.monotonic() + ACKNOWLEDGE_AGAIN_SECONDS
                return
            with self.store.transaction():
                self._ledger.paid(erasure_id)
            log.info("acknowledged erasure %s", erasure_id)

    def _drain_ready(self) -> None:
        for letter in self._applying.ready():
            self._drain(letter)

    def _drain(self, letter: DeadLetter | None, *, despite_gap: bool = False) -> int:
        """Apply it, and those behind it; how many could be."""
        count = 0
        while letter is not None:
            opens = self._unsealer is not None and letter.type in self._handlers
            opened = self._unsealer.open([letter.event]) if self._unsealer and opens else {}
            done, letter = self._applying.drain(letter, opened, despite_gap=despite_gap)
            count += done
        return count

    def _first(self, id_: str) -> DeadLetter:
        with self.store.transaction():
            letter = self._ledger.letter(id_)
            if letter is None or letter.skipped_at is not None:
                raise NoSuchLetter(id_)
            first = self._ledger.letters(letter.aggregate_id)[0]
        if first.id != id_:
            raise NotFirst(f"{first.id} is before it")
        return first

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """The store, open for the block."""
        if self._is_open:
            yield
            return
        self.store.open(TABLES)
        try:
            yield
        finally:
            self.store.close()
            if self.source.api is not None:
                self.source.api.close()
