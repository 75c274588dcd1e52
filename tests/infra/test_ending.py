"""Tasks end when they are told to, also those that drop a cancellation."""

import asyncio

from infra.ending import ended


async def test_a_task_that_drops_its_first_cancellation_ends_all_the_same() -> None:
    dropped = 0

    async def work() -> None:
        nonlocal dropped
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                dropped += 1
                if dropped > 1:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await ended(task)
    assert task.cancelled()
    assert dropped == 2


async def test_one_that_failed_or_was_done_before_is_as_good_as_any() -> None:
    async def fail() -> None:
        raise ValueError

    failing, done = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))
    await asyncio.wait({failing, done})
    await ended(failing, done)
    assert failing.done()
