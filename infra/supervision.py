"""Keeps background work going: what fails is reported and started again, until it is told to stop."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from infra.waiting import set_within

BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 10.0
HEALTHY_AFTER_SECONDS = 30.0

log = structlog.get_logger(__name__)


async def supervise(name: str, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    """Run `work` until `stop` is set, again after every failure and every unbidden return.

    The pause doubles from 0.2 s to 10 s, with jitter, and starts over once the work stayed up for 30 s.
    Cancelling this task cancels the work.
    """
    pause = BACKOFF_SECONDS_MIN
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        started = loop.time()
        try:
            await work()
        except Exception as error:
            # Said with its type and places only (a message may quote data), and the work is started again.
            log.error("work_failed", work=name, exc_info=error)
        if loop.time() - started > HEALTHY_AFTER_SECONDS:
            pause = BACKOFF_SECONDS_MIN
        await set_within(stop, pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, BACKOFF_SECONDS_MAX)


async def repeat(every_seconds: float, work: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Do `work` now and then every so many seconds until `stop` is set."""
    while not stop.is_set():
        await work()
        await set_within(stop, every_seconds)
