"""Opens boxes through the API, as far as this subscriber is granted them, and soon forgets it."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from lethe_subscriber.api import Api
from lethe_subscriber.errors import Refused, Unreachable
from lethe_subscriber.received import Box, Received
from lethe_subscriber.values import Erased, Personal, Withheld

POSITIONS_MAX: Final = 200
REMEMBERED_SECONDS_MAX: Final = 5.0
REMEMBERED_EVENTS_MAX: Final = 1_000
NOT_FOUND: Final = 404
ERASED: Final = "subject.erased"


@dataclass(frozen=True, slots=True)
class _Opened:
    until: float
    subjects: frozenset[UUID]
    values: Mapping[str, Personal]


class Unsealer:
    """What is in boxes, by the position of the event and the field.

    What was opened is remembered for seconds only: for a page that has to be gone through again. It is
    forgotten at once for a person who is seen to be erased.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._remembered: OrderedDict[int, _Opened] = OrderedDict()

    def open(self, events: Iterable[Received]) -> dict[int, Mapping[str, Personal]]:
        """The personal values of these events. Raises what `Api.post` does."""
        now = time.monotonic()
        wanted = {it.position: it for it in events if it.boxes}
        missing = [it for it in wanted if it not in self._remembered or self._remembered[it].until < now]
        for start in range(0, len(missing), POSITIONS_MAX):
            self._ask(missing[start : start + POSITIONS_MAX], wanted)
        opened = {it: self._remembered[it].values for it in wanted}
        while len(self._remembered) > REMEMBERED_EVENTS_MAX:
            self._remembered.popitem(last=False)
        return opened

    def forget(self, events: Iterable[Received]) -> None:
        """Drop what is remembered of the people who are erased by these events, and what is too old."""
        gone = {UUID(it.data["erased_subject_id"]) for it in events if it.type == ERASED}
        now = time.monotonic()
        for position, it in list(self._remembered.items()):
            if it.until < now or it.subjects & gone:
                del self._remembered[position]

    def _ask(self, positions: Sequence[int], events: Mapping[int, Received]) -> None:
        try:
            answer = self._api.post("/v1/unseal", {"positions": positions})
        except Refused as error:
            if error.status == NOT_FOUND:
                raise Unreachable("the server's log has not come that far yet") from None
            raise
        items = {it["position"]: it for it in answer["items"]}
        until = time.monotonic() + REMEMBERED_SECONDS_MAX
        for position in positions:
            boxes = events[position].boxes
            values = {field: _value(field, box, items.get(position)) for box in boxes for field in box.fields}
            self._remembered.pop(position, None)
            self._remembered[position] = _Opened(until, frozenset(it.subject for it in boxes), values)


def _value(field: str, box: Box, item: Mapping[str, Any] | None) -> Personal:
    """The text, or what stands in its place: also where the answer leaves the event out."""
    if item is not None and box.category in item["erased"]:
        return Erased(box.category)
    if item is None or box.category in item["withheld"] or field not in item["values"]:
        return Withheld(box.category)
    text = item["values"][field]
    return None if text is None else str(text)
