"""The event loop that every process of ours runs on: uvloop, where the system has it."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# Commands and events are many short-lived objects and no cycles, which Python looks for all the time by
# default: a fifth of what building a view took.
GARBAGE_THRESHOLD = 50_000


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end."""
    spare_the_garbage_collector()
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def spare_the_garbage_collector() -> None:
    """Let it look seldom in this process, and never at what has been loaded so far."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 50, 100)
