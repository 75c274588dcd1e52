"""Events from the HTTP feed: long polls, one position for each stream."""

from collections.abc import Sequence
from typing import Any, Final

from lethe_subscriber.api import Api
from lethe_subscriber.errors import AnotherLog
from lethe_subscriber.kinds import kinds_of
from lethe_subscriber.received import Received
from lethe_subscriber.sources import Mark, Marks, Page

PAGE_EVENTS: Final = 500
WAIT_SECONDS_MAX: Final = 30


class HttpFeed:
    """Implements `Source`: the feed of the Lethe at `url`, with a token that may read or subscribe.

    A subscriber that is new begins after position `after`. Whole streams are asked for, so that a gap in a
    record is seen. A stream that is followed only since today is read from its beginning, until it is level
    with the others.
    """

    name = "feed"
    partial = False
    interruptible = True

    def __init__(self, url: str, token: str | None = None, *, after: int = 0) -> None:
        self.api = Api(url, token)
        self.begins_later = after > 0
        self._after = after
        self._marks: dict[str, Mark] = {}

    def open(self, subscriber: str, streams: Sequence[str], marks: Marks) -> None:
        known = marks()
        for position, id_ in {(it.last_position, it.last_id) for it in known.values() if it.last_id}:
            self._same_log(position, id_)
        self._marks = {it: known.get(it, Mark(self._after)) for it in streams}

    def next(self, seconds: float) -> Page | None:
        lowest = min(it.end for it in self._marks.values())
        parts = tuple(it for it, mark in self._marks.items() if mark.end == lowest)
        ceiling = min((it.end for it in self._marks.values() if it.end > lowest), default=None)
        wait = 0.0 if ceiling else min(seconds, WAIT_SECONDS_MAX)
        parameters = {"after": lowest, "limit": PAGE_EVENTS, "types": ",".join(kinds_of(parts))}
        answer = self.api.get("/v1/events", parameters | {"wait": wait}, seconds=wait)
        page = _page(parts, answer, ceiling)
        return page if page.end > lowest else None

    def settled(self, page: Page) -> None:
        self._marks |= dict.fromkeys(page.parts, page.mark)

    def caught_up(self) -> bool:
        return True

    def close(self) -> None:
        self.api.close()

    def _same_log(self, position: int, id_: str | None) -> None:
        """Raise `AnotherLog` unless the event that was last there is there still."""
        answer = self.api.get("/v1/events", {"after": position - 1, "limit": 1})
        if [it["id"] for it in answer["items"]] != [id_]:
            raise AnotherLog(
                f"position {position} of {self.api.url} is not the event that this subscriber has settled:"
                " it followed another log, or one that was set back"
            )


def _page(parts: tuple[str, ...], answer: dict[str, Any], ceiling: int | None) -> Page:
    events = [Received(it) for it in answer["items"] if ceiling is None or it["position"] <= ceiling]
    end = int(answer["next"]) if ceiling is None else min(int(answer["next"]), ceiling)
    return Page(parts, events, [it.position for it in events], end)
