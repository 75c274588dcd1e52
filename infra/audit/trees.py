"""The two trees of a system, over the event log and over the access log, put together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from infra.audit.checkpoints import PostgresCheckpoints
from infra.audit.folder import CheckpointFolder
from infra.audit.lease import AdvisoryLease
from infra.audit.leaves import AccessSource, EventSource
from infra.audit.note import Key, Signer
from infra.audit.sequencer import LOCKS, Sequencer
from infra.audit.signing import Checkpointer
from infra.audit.tree import AuditTree
from services.ports import Clock, LogReader

Pool = AsyncConnectionPool[AsyncConnection[Any]]

CHECKPOINT_KEY: Final = "checkpoint"
"""The name of the system key that is the seed of the signing key."""

EVENTS: Final = "log"
ACCESSES: Final = "access"


def origin_of(namespace: str, log: str) -> str:
    """The name that a log signs with."""
    return f"lethe/{namespace}/{log}"


def open_trees(
    pool: Pool, namespace: str, seed: bytes, witnesses: Sequence[Key], clock: Clock
) -> Mapping[str, AuditTree]:
    """Each log's tree, by the log's name."""
    return {
        log: AuditTree(
            pool,
            log,
            Signer(origin_of(namespace, log), seed),
            PostgresCheckpoints(pool, log, witnesses, clock),
        )
        for log in (EVENTS, ACCESSES)
    }


def sequencer_of(
    tree: AuditTree, url: str, pool: Pool, reader: LogReader, folder: Path, *, seconds: float
) -> Sequencer:
    """What makes this tree grow and signs it; `folder` is that of all the logs' checkpoints."""
    source = EventSource(reader) if tree.log == EVENTS else AccessSource(pool)
    checkpointer = Checkpointer(
        tree.log,
        tree.signer,
        tree.checkpoints,
        CheckpointFolder(folder / tree.log, tree.signer.key),
        seconds=seconds,
    )
    return Sequencer(source, AdvisoryLease(url, f"{tree.log} sequencer", LOCKS[tree.log]), checkpointer)
