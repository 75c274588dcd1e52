"""What happens to a retention policy: how long one category of data of one kind of record is kept."""

from typing import ClassVar
from uuid import UUID

from domain.model import Category, Event, Public, Recurring


class RetentionEvent(Event):
    """Nothing personal: a reason is sealed under the policy's own key."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class RetentionSet(RetentionEvent, Recurring):
    """Records of this kind need the category for so many days after the latest of the events `after`.

    `after` holds names of events such as `ticket.closed`, or only `last_activity`: any event of the record.
    """

    TOPIC: ClassVar[str] = "retention.set"
    kind: Public[str]
    category: Public[Category]
    days: Public[int]
    after: Public[tuple[str, ...]]
    legal_reason: Public[str]


class RetentionWithdrawn(RetentionEvent):
    """Records of this kind keep the category without an end again."""

    TOPIC: ClassVar[str] = "retention.withdrawn"
