"""Leaving on SIGTERM and SIGINT: between two transactions, at once where only new events are waited for."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Final, TypeVar

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
LOOK_SECONDS: Final = 0.1
T = TypeVar("T")


class Stopped(BaseException):
    """The wait for new events is over: somebody asked to stop."""


class Stop:
    """Whether to stop. Signals are taken where it is used in the main thread."""

    def __init__(self) -> None:
        self._asked = False
        self._waiting = False

    def __call__(self) -> bool:
        """Whether somebody asked."""
        return self._asked

    def ask(self) -> None:
        """Stop soon. May be called from another thread, or from a handler."""
        self._asked = True

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let the signals ask, inside the block; begin it unasked."""
        self._asked = False
        if current_thread() is not main_thread():
            yield
            return
        before = {it: signal.signal(it, self._receive) for it in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def waiting(self, work: Callable[[], T], *, interruptible: bool) -> T | None:
        """What the work gives; None where a signal ended it."""
        try:
            try:
                self._waiting = interruptible
                return None if self._asked else work()
            finally:
                self._waiting = False
        except Stopped:
            return None

    def sleep(self, seconds: float) -> None:
        """So long, or until somebody asks."""
        until = time.monotonic() + seconds
        while not self._asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._waiting:
            self._waiting = False
            raise Stopped
