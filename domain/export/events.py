"""What happens when data leaves the system: facts without personal data, kept whether it arrived or not."""

from typing import ClassVar
from uuid import UUID

from domain.model import Created, Event, Public
from domain.values import ExportFormat


class ExportEvent(Event):
    """Names the exported person, where it is one, by the pseudonym only."""

    @property
    def record_subject(self) -> UUID:
        return self.originator_id


class ExportBegun(ExportEvent, Created):
    """Somebody exports this: durable before the first byte leaves. `filters` hold nothing personal.

    `covered_position`: the log up to there is looked at.
    """

    TOPIC: ClassVar[str] = "export.begun"
    what: Public[str]
    filters: Public[dict[str, str]]
    format: Public[ExportFormat]
    covered_position: Public[int]
    exported_subject_id: Public[UUID | None] = None


class ExportMade(ExportEvent):
    """All of it was handed over: so many items in so many bytes with this SHA-256, in hex."""

    TOPIC: ClassVar[str] = "export.made"
    what: Public[str]
    filters: Public[dict[str, str]]
    format: Public[ExportFormat]
    covered_position: Public[int]
    exported_subject_id: Public[UUID | None] = None
    count: Public[int]
    byte_count: Public[int]
    sha256: Public[str]


class ExportAborted(ExportEvent):
    """It broke off: at most so many items, in so many bytes, were handed over."""

    TOPIC: ClassVar[str] = "export.aborted"
    count: Public[int]
    byte_count: Public[int]
    exported_subject_id: Public[UUID | None] = None
