"""Hands a dossier out: an export, recorded before its first byte, hashed as it leaves, linked at its end."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

from domain.values import ExportFormat
from infra.dossier.ashtml import as_html
from infra.dossier.asjson import as_json
from infra.dossier.gathering import Dossier
from infra.ending import leave
from services.exports import Exports
from services.ports import CommandContext
from services.privacyrequests import PrivacyRequests

WHAT: Final = "dossier"
MEDIA: Final = {ExportFormat.JSON: "application/json", ExportFormat.HTML: "text/html; charset=utf-8"}
WRITERS: Final = {ExportFormat.JSON: as_json, ExportFormat.HTML: as_html}


class Handing:
    """One dossier on its way out. `context_of` makes a command of whoever hands it out, anew for each."""

    def __init__(
        self,
        dossier: Dossier,
        format: ExportFormat,
        *,
        exports: Exports,
        requests: PrivacyRequests,
        context_of: Callable[[], CommandContext],
    ) -> None:
        self._dossier = dossier
        self._format = format
        self._exports = exports
        self._requests = requests
        self._context_of = context_of
        self._digest = hashlib.sha256()
        self._byte_count = 0
        self._made = False

    async def begin(self) -> None:
        """Record that it begins. Raises what would keep it from being linked to its privacy request."""
        asked = self._dossier.asked
        if asked.request_id is not None:
            await self._requests.check_answerable(asked.request_id, subject_id=asked.subject_id)
        filters = {} if asked.request_id is None else {"request_id": str(asked.request_id)}
        await self._exports.begin(
            id=asked.id,
            what=WHAT,
            filters={"form": asked.form.value, **filters},
            format=self._format,
            covered_position=self._dossier.covered_position,
            exported_subject_id=asked.subject_id,
            context=self._context_of(),
        )

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The document, to be handed over as it comes. Left off before its end, it is recorded as aborted."""
        try:
            async for part in WRITERS[self._format](self._dossier.sections()):
                self._digest.update(part)
                self._byte_count += len(part)
                yield part
            await self._complete()
        finally:
            if not self._made:
                # The caller's task may be cancelled: whatever it waited for here would not be.
                leave(asyncio.create_task(self._abort(), name=f"dossier {self._dossier.asked.id}"))

    async def _complete(self) -> None:
        asked = self._dossier.asked
        await self._exports.complete(
            id=asked.id,
            count=self._dossier.events,
            byte_count=self._byte_count,
            sha256=self._digest.hexdigest(),
            context=self._context_of(),
        )
        self._made = True
        if asked.request_id is not None:
            await self._requests.link_dossier(
                id=asked.request_id, dossier_id=asked.id, context=self._context_of()
            )

    async def _abort(self) -> None:
        await self._exports.abort(
            id=self._dossier.asked.id,
            count=self._dossier.events,
            byte_count=self._byte_count,
            context=self._context_of(),
        )
