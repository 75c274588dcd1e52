"""Tasks that are cancelled, and have ended when we go on; and tasks that end by themselves."""

import asyncio
from typing import Any, Final

AGAIN_SECONDS = 0.5
_left: Final[set["asyncio.Task[Any]"]] = set()


async def ended(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel the tasks and wait until they have ended, however they did.

    Cancelled once, a loop may go on for ever: `asyncio.wait_for` of Python 3.11, by which psycopg waits for
    the server, drops a cancellation that comes with the answer (https://bugs.python.org/issue42130).
    """
    pending = {it for it in tasks if not it.done()}
    while pending:
        for it in pending:
            it.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    for it in tasks:
        if not it.cancelled():
            it.exception()  # has been seen


def leave(task: "asyncio.Task[Any]") -> None:
    """Let the task come to its end, though nobody waits for it: the loop alone would not keep it alive."""
    _left.add(task)
    task.add_done_callback(_left.discard)
