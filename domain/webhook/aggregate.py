"""What may happen to a webhook."""

import re
from datetime import datetime
from typing import Self
from uuid import UUID

from domain.model import Aggregate, DomainError, Event
from domain.webhook.events import (
    ParkCause,
    WebhookChanged,
    WebhookParked,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)

URL = re.compile(
    r"https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[!-~]*)?|https?://\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?(/[!-~]*)?"
)
URL_LENGTH_MAX = 2_000


class WebhookUrlUnfit(DomainError):
    """The address is stored in clear: http(s), host and path; no user, password, query or fragment."""


class WebhookIsParked(DomainError):
    """A parked webhook is resumed, from a position if need be."""


class WebhookIsRemoved(DomainError):
    """The webhook is removed: register a new one."""


class WebhookFromNowhere(DomainError):
    """A position is 0 or more."""


class PreviousSecretEnded(DomainError):
    """The previous secret ends in the future, or now."""


class Webhook(Aggregate):
    """An address to which events are sent, from its registration until it is removed. Its own subject."""

    TOPIC = "webhook"

    @classmethod
    def register(
        cls,
        *,
        id: UUID,
        url: str,
        types: tuple[str, ...],
        description: str | None = None,
        after: int | None = None,
    ) -> Self:
        _check_url(id, url)
        _check_position(id, after)
        return cls._create(
            WebhookRegistered, id=id, url=url, types=types, description=description, after=after
        )

    def change(self, *, url: str, types: tuple[str, ...], description: str | None = None) -> None:
        """Say where and what is sent: all of it. What is as it was changes nothing."""
        self._check_living()
        _check_url(self.id, url)
        if (url, types, description) != self.says:
            self.trigger_event(WebhookChanged, url=url, types=types, description=description)

    def rotate(self, *, now: datetime, previous_until: datetime) -> None:
        self._check_living()
        if previous_until < now:
            raise PreviousSecretEnded(self.id)
        self.trigger_event(WebhookSecretRotated, number=self.secret_number + 1, previous_until=previous_until)

    def park(self, *, cause: ParkCause) -> None:
        """Stop sending. What is parked, or removed, already stays as it is."""
        if not self.parked and not self.removed:
            self.trigger_event(WebhookParked, cause=cause)

    def resume(self, *, after: int | None = None) -> None:
        """Send again. What is sent to already goes on as it does."""
        self._check_living()
        _check_position(self.id, after)
        if self.parked:
            self.trigger_event(WebhookResumed, after=after)

    def replay(self, *, after: int) -> None:
        self._check_living()
        _check_position(self.id, after)
        if self.parked:
            raise WebhookIsParked(self.id)
        self.trigger_event(WebhookReplayed, after=after)

    def remove(self) -> None:
        if not self.removed:
            self.trigger_event(WebhookRemoved)

    def evolve(self, event: Event) -> None:
        match event:
            case WebhookRegistered():
                self.subject_id = event.originator_id
                self.says = (event.url, event.types, event.description)
                self.secret_number = 1
                self.parked = self.removed = False
            case WebhookChanged():
                self.says = (event.url, event.types, event.description)
            case WebhookSecretRotated():
                self.secret_number = event.number
            case WebhookParked():
                self.parked = True
            case WebhookResumed():
                self.parked = False
            case WebhookRemoved():
                self.removed = True

    def _check_living(self) -> None:
        if self.removed:
            raise WebhookIsRemoved(self.id)


def _check_url(id: UUID, url: str) -> None:
    if len(url) > URL_LENGTH_MAX or URL.fullmatch(url) is None or not {"?", "#"}.isdisjoint(url):
        raise WebhookUrlUnfit(id)


def _check_position(id: UUID, position: int | None) -> None:
    if position is not None and position < 0:
        raise WebhookFromNowhere(id)
