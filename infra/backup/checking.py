"""Holds a restored database to what it says of itself; and restores a backup elsewhere only to check it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pyrage.x25519 import Identity

from domain.model import Sealed
from infra.audit.storedtree import NAMES, StoredTree
from infra.audit.verifier import Findings
from infra.backup.archive import BackupUnfit
from infra.backup.making import Header
from infra.backup.restoring import Progress, restore_backup
from infra.eventstore.mapper import EventMapper
from infra.eventstore.reader import FencedReader
from infra.eventstore.unsealer import BoxUnsealer
from infra.kek import KekPlace, KekUnusable, KeyStoreUnfit
from infra.postgres.database import Pool, open_pool
from infra.postgres.embedded import EmbeddedPostgres, PostgresDidNotStart
from infra.postgres.keystore import key_ring_at
from services.ports import KeyLost, Tampered

SAMPLE_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Checked:
    """What a restored backup was found to be. `findings` is empty where all is well."""

    header: Header
    tables: int
    rows: int
    leaves: int
    boxes_opened: int
    boxes_erased: int
    keys: str | None
    """Why no box was tried: the KEK of its epoch is not at hand. None where they were."""
    findings: Sequence[str]


async def verify_backup(
    path: Path, identities: Sequence[Identity], keks: KekPlace, progress: Progress = lambda done: None
) -> Checked:
    """Restore it into a PostgreSQL of its own, look at everything, throw that away. Raises `BackupUnfit`."""
    async with _elsewhere() as url:
        restored = await restore_backup(url, path, identities, progress)
        leaves, findings = await asyncio.to_thread(verify_trees, url, restored.header)
        pool = await open_pool(url, size=2)
        try:
            opened, erased, keys = await _open_sample(pool, keks, restored.header.namespace, findings)
        finally:
            await pool.close()
    return Checked(restored.header, restored.tables, restored.rows, leaves, opened, erased, keys, findings)


def verify_trees(url: str, header: Header) -> tuple[int, list[str]]:
    """The log and the access log against their trees, byte for byte: leaves, and what is wrong. Blocks."""
    found, leaves = Findings(), 0
    with psycopg.connect(url) as connection:
        for log in NAMES:
            stored = StoredTree(connection, log, found, lambda done: None)
            tree = stored.verify([])
            leaves += tree.size
            state = stored.state
            if log == "log" and (state.size, state.root.hex()) != (header.tree_size, header.tree_root):
                found.add("tree", "it is not the one that the backup's header speaks of")
    return leaves, [f"{it.place}: {it.words}" for it in found.kept]


async def _open_sample(
    pool: Pool, keks: KekPlace, namespace: str, findings: list[str]
) -> tuple[int, int, str | None]:
    """Open the boxes of the log's first and last events: how many did, how many are erased, why none was."""
    try:
        ring = await key_ring_at(pool, keks, namespace=namespace)
    except KekUnusable as error:
        return 0, 0, str(error)
    except KeyStoreUnfit as error:
        findings.append(f"key store: {error}")
        return 0, 0, None
    reader, mapper, unsealer = FencedReader(pool), EventMapper(namespace), BoxUnsealer(ring, namespace)
    horizon = await reader.horizon()
    opened = erased = 0
    for after in {0, max(0, horizon - SAMPLE_EVENTS)}:
        for stored in await reader.read(after, SAMPLE_EVENTS):
            event = mapper.to_domain_event(stored).event
            handles = [it for _, it in event if isinstance(it, Sealed)]
            try:
                values = (await unsealer.open(handles)).values()
            except (KeyLost, Tampered) as error:
                findings.append(f"position {stored.id}: {error}")
                continue
            clear = sum(isinstance(it, str) for it in values)
            opened, erased = opened + clear, erased + len(handles) - clear
    return opened, erased, None


@asynccontextmanager
async def _elsewhere() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="lethe-verify-") as folder:
        try:
            async with EmbeddedPostgres(Path(folder) / "postgres") as server:
                yield server.url
        except PostgresDidNotStart as error:
            raise BackupUnfit(f"there is no PostgreSQL to restore into: {error}") from None
