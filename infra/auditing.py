"""What an auditor takes away from a running system, put together."""

from collections.abc import AsyncIterator

from infra.audit.bundling import Bundling, ExportNotes, Notes
from infra.bootstrap import System
from infra.history.manifests import Manifests


def bundling_of(system: System) -> Bundling:
    """Bundles of the log, with the certificates that were issued and the manifests of exports."""
    exports = ExportNotes(system.pool, Manifests(system.reader, system.mapper, system.tree))

    async def certificates(first: int, last: int) -> AsyncIterator[tuple[str, str]]:
        for number, (erasure_id, note) in enumerate(await system.certificates.stored()):
            yield f"certificates/{number:06d}-{erasure_id}.note", note

    notes: list[Notes] = [certificates, exports]
    return Bundling(system.pool, system.tree, system.settings.namespace, system.clock, notes)
