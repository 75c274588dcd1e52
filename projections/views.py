"""All views together, as the doors see them."""

from typing import Protocol

from projections.analytics import Analytics
from projections.directory import Directory
from projections.pipeline import Pipeline
from projections.privacy import PrivacyRequests
from projections.rights import Rights
from projections.subscribers import Subscribers
from projections.tickets import Tickets
from projections.timeline import TimelineIndex


class Views(Protocol):
    """The read side. All views move together: what one shows of an event, all show."""

    @property
    def directory(self) -> Directory: ...

    @property
    def pipeline(self) -> Pipeline: ...

    @property
    def privacy(self) -> PrivacyRequests: ...

    @property
    def rights(self) -> Rights: ...

    @property
    def subscribers(self) -> Subscribers: ...

    @property
    def tickets(self) -> Tickets: ...

    @property
    def analytics(self) -> Analytics: ...

    @property
    def timeline(self) -> TimelineIndex: ...

    async def reached(self, position: int) -> bool:
        """Whether the views show the event at this position."""
        ...

    async def wait_for(self, position: int, timeout: float) -> bool:
        """Wait (seconds) until the views show the event at this position. False when the time is up."""
        ...
