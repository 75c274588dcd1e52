"""What an auditor takes away from a running system, put together."""

from infra.audit.bundling import Bundling, ExportNotes
from infra.bootstrap import System
from infra.history.manifests import Manifests


def bundling_of(system: System) -> Bundling:
    """Bundles of the system's log, with the manifests of the exports that were made meanwhile."""
    exports = ExportNotes(system.pool, Manifests(system.reader, system.mapper, system.tree))
    return Bundling(system.pool, system.tree, system.settings.namespace, system.clock, [exports])
