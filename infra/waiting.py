"""Waiting for something, but not for ever."""

import asyncio
import random


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def set_within_about(event: asyncio.Event, seconds: float) -> None:
    """The same, less up to half of it: those who lost the same server do not come back all at once."""
    await set_within(event, seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
