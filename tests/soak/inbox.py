"""A receiver of webhooks that refuses, is silent, or is away, when it is told to."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from tests.webhooks.receiver import Receiver, receiving


class Inbox:
    """One address; behind it one receiver after another."""

    def __init__(self) -> None:
        self.answer: int | None = 204
        """What is answered: a status; None: nothing, ever."""
        self.port = 0
        self._receivers: list[Receiver] = []
        self._open = AsyncExitStack()

    async def up(self) -> None:
        """Answer at the same address as before."""
        receiver = await self._open.enter_async_context(receiving(lambda event: self.answer, port=self.port))
        self.port = receiver.port
        self._receivers.append(receiver)

    async def down(self) -> None:
        """Cut every line, and refuse new ones."""
        await self._open.aclose()

    @property
    def asked(self) -> int:
        """How many requests came in."""
        return sum(len(it.arrived) for it in self._receivers)

    @property
    def accepted(self) -> int:
        """How many of them were answered with success."""
        return sum(len(it.accepted) for it in self._receivers)

    def first(self) -> dict[str, dict[str, Any]]:
        """What was accepted, by `webhook-id`, in the order of its first arrival."""
        found: dict[str, dict[str, Any]] = {}
        for id_, event in itertools.chain.from_iterable(it.first.items() for it in self._receivers):
            found.setdefault(id_, event)
        return found

    def versions(self) -> dict[UUID, list[int]]:
        """The versions of each record in the order in which they were accepted, each the first time."""
        found: dict[UUID, list[int]] = {}
        for it in self.first().values():
            found.setdefault(UUID(it["subject"]), []).append(it["aggregateversion"])
        return found

    async def until_asked(self, more: int = 1) -> None:
        """Wait for so many more requests: whoever comes meets what is wrong here."""
        wanted = self.asked + more
        async with asyncio.timeout(60):
            while self.asked < wanted:  # noqa: ASYNC110 - another process asks
                await asyncio.sleep(0.02)


@asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    it = Inbox()
    await it.up()
    try:
        yield it
    finally:
        await it.down()
