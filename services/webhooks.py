"""Webhooks: who registers, changes, parks and resumes them. Sending is in `infra.webhooks`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Unpack
from uuid import UUID

from domain.webhook.aggregate import Webhook
from domain.webhook.events import ParkCause
from services.application import Application, Target
from services.ports import CommandContext, Outcome, Refused

OVERLAP_HOURS = 24


class PlaceNotAllowed(Refused):
    """Webhooks go over https to the public internet, and where the operator allows it."""


class Webhooks:
    """Commands about webhooks. `unfit` says what speaks against an address before anybody looks it up."""

    def __init__(self, application: Application, unfit: Callable[[str], str | None]) -> None:
        self._application = application
        self._unfit = unfit

    async def register(
        self,
        *,
        id: UUID,
        url: str,
        types: tuple[str, ...] = (),
        description: str | None = None,
        after: int | None = None,
        context: CommandContext,
    ) -> Outcome:
        """Raises `PlaceNotAllowed`."""
        self._check(id, url)
        return await self._application.create(
            lambda: Webhook.register(id=id, url=url, types=types, description=description, after=after),
            context=context,
        )

    async def change(
        self,
        *,
        url: str,
        types: tuple[str, ...] = (),
        description: str | None = None,
        **to: Unpack[Target],
    ) -> Outcome:
        """Raises `PlaceNotAllowed`."""
        self._check(to["id"], url)
        return await self._application.change(
            Webhook,
            decide=lambda it: it.change(url=url, types=types, description=description),
            **to,
        )

    async def rotate(self, *, overlap_hours: int = OVERLAP_HOURS, **to: Unpack[Target]) -> Outcome:
        """A new secret signs from now on, and the one before it beside it for so many hours."""
        # The system's time, not the business's: receivers hold us to it.
        now = self._application.clock.now()
        until = now + timedelta(hours=overlap_hours)
        return await self._application.change(
            Webhook, decide=lambda it: it.rotate(now=now, previous_until=until), **to
        )

    async def park(self, *, cause: ParkCause, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Webhook, decide=lambda it: it.park(cause=cause), **to)

    async def resume(self, *, after: int | None = None, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Webhook, decide=lambda it: it.resume(after=after), **to)

    async def replay(self, *, after: int, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Webhook, decide=lambda it: it.replay(after=after), **to)

    async def remove(self, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(Webhook, decide=Webhook.remove, **to)

    def _check(self, id: UUID, url: str) -> None:
        if (reason := self._unfit(url)) is not None:
            raise PlaceNotAllowed(id, reason)
