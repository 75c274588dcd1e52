"""What is recorded of exports: that one begins, and how it ended."""

from collections.abc import Mapping
from typing import Unpack
from uuid import UUID

from domain.export.aggregate import Export
from domain.values import ExportFormat
from services.application import Application, Target
from services.ports import CommandContext, Outcome


class Exports:
    """Commands about exports. Each answers with the version and the log position it led to."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def begin(
        self,
        *,
        id: UUID,
        what: str,
        filters: Mapping[str, str],
        format: ExportFormat,
        covered_position: int,
        exported_subject_id: UUID | None = None,
        context: CommandContext,
    ) -> Outcome:
        return await self._application.create(
            lambda: Export.begin(
                id=id,
                what=what,
                filters=filters,
                format=format,
                covered_position=covered_position,
                exported_subject_id=exported_subject_id,
            ),
            context=context,
        )

    async def complete(self, *, count: int, byte_count: int, sha256: str, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Export,
            decide=lambda it: it.complete(count=count, byte_count=byte_count, sha256=sha256),
            **to,
        )

    async def abort(self, *, count: int, byte_count: int, **to: Unpack[Target]) -> Outcome:
        return await self._application.change(
            Export, decide=lambda it: it.abort(count=count, byte_count=byte_count), **to
        )
