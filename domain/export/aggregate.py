"""What may happen to an export."""

from collections.abc import Mapping
from typing import Self
from uuid import UUID

from domain.export.events import ExportAborted, ExportBegun, ExportMade
from domain.model import Aggregate, DomainError, Event
from domain.values import ExportFormat


class ExportEnded(DomainError):
    """The export has ended otherwise already."""


class Export(Aggregate):
    """One export, from before its first byte until all was handed over, or it broke off. Its own subject."""

    TOPIC = "export"

    @classmethod
    def begin(
        cls,
        *,
        id: UUID,
        what: str,
        filters: Mapping[str, str],
        format: ExportFormat,
        covered_position: int,
        exported_subject_id: UUID | None = None,
    ) -> Self:
        return cls._create(
            ExportBegun,
            id=id,
            what=what,
            filters=dict(filters),
            format=format,
            covered_position=covered_position,
            exported_subject_id=exported_subject_id,
        )

    def complete(self, *, count: int, byte_count: int, sha256: str) -> None:
        """All of it was handed over. Saying so again changes nothing."""
        if isinstance(self.ended, ExportAborted):
            raise ExportEnded(self.id)
        if self.ended is None:
            said = {name: getattr(self.begun, name) for name in REPEATED}
            self.trigger_event(ExportMade, count=count, byte_count=byte_count, sha256=sha256, **said)

    def abort(self, *, count: int, byte_count: int) -> None:
        """It broke off. Saying so again changes nothing."""
        if isinstance(self.ended, ExportMade):
            raise ExportEnded(self.id)
        if self.ended is None:
            exported = self.begun.exported_subject_id
            self.trigger_event(
                ExportAborted, count=count, byte_count=byte_count, exported_subject_id=exported
            )

    def evolve(self, event: Event) -> None:
        match event:
            case ExportBegun():
                self.subject_id = event.originator_id
                self.begun = event
                self.ended: ExportMade | ExportAborted | None = None
            case ExportMade() | ExportAborted():
                self.ended = event


REPEATED = ("what", "filters", "format", "covered_position", "exported_subject_id")
"""What the end says again, so that it stands for itself in a proof."""
