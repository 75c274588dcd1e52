"""What the tests of the trees share: a tree over a log in the database, as one process has it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from infra.audit.checkpoints import PostgresCheckpoints
from infra.audit.folder import CheckpointFolder
from infra.audit.growing import Growth
from infra.audit.lease import AdvisoryLease
from infra.audit.leaves import AccessSource, EventSource, Source, event_leaf
from infra.audit.merkle import Frontier, leaf_hash
from infra.audit.note import Key, Signer
from infra.audit.sequencer import LOCKS, Sequencer
from infra.audit.signing import Checkpointer
from infra.audit.tree import AuditTree, TreeState
from infra.clock import SystemClock
from infra.eventstore.reader import FencedReader
from infra.postgres.database import Pool, open_pool
from tests.streams import logged, stored_events

ORIGIN = "lethe/main"
SEED = b"\x01" * 32
GROWN_SECONDS_MAX = 60


@dataclass(frozen=True)
class Grove:
    """One log's tree with all that makes it grow."""

    pool: Pool
    tree: AuditTree
    sequencer: Sequencer
    folder: CheckpointFolder

    @property
    def signer(self) -> Signer:
        return self.tree.signer

    @property
    def checkpoints(self) -> PostgresCheckpoints:
        return self.tree.checkpoints


@asynccontextmanager
async def grove(
    url: str,
    folder: Path,
    *,
    log: str = "log",
    seconds: float = 0.05,
    witnesses: Sequence[Key] = (),
    growing: Callable[[Source], Growth] = Growth,
) -> AsyncIterator[Grove]:
    pool = await open_pool(url, size=4)
    try:
        signer = Signer(f"{ORIGIN}/{log}", SEED)
        checkpoints = PostgresCheckpoints(pool, log, witnesses, SystemClock())
        outside = CheckpointFolder(folder / log, signer.key)
        source = EventSource(FencedReader(pool)) if log == "log" else AccessSource(pool)
        lease = AdvisoryLease(url, f"{log} sequencer", LOCKS[log])
        checkpointer = Checkpointer(log, signer, checkpoints, outside, seconds=seconds)
        sequencer = Sequencer(source, lease, checkpointer, growing=growing)
        yield Grove(pool, AuditTree(pool, log, signer, checkpoints), sequencer, outside)
    finally:
        await pool.close()


@asynccontextmanager
async def sequencing(*groves: Grove) -> AsyncIterator[None]:
    """Their sequencers run while the block does."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for it in groves:
            group.create_task(it.sequencer.run(stop))
        try:
            yield
        finally:
            stop.set()


async def grown(it: Grove, size: int) -> None:
    """Wait until the tree has so many leaves."""
    async with asyncio.timeout(GROWN_SECONDS_MAX):
        while await it.tree.size() < size:  # noqa: ASYNC110 - another process may do it
            await asyncio.sleep(0.01)


async def signed(it: Grove, size: int) -> None:
    """Wait until a checkpoint over so many leaves is in the folder."""
    async with asyncio.timeout(GROWN_SECONDS_MAX):
        while await _outside(it) < size:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)


async def _outside(it: Grove) -> int:
    latest = await asyncio.to_thread(it.folder.latest)
    return latest.size if latest is not None else 0


async def at_fault(it: Grove) -> TreeState:
    """Wait until the tree says what is wrong."""
    async with asyncio.timeout(GROWN_SECONDS_MAX):
        while (state := await it.tree.state()).fault is None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
    return state


def plain_root(url: str, size: int | None = None) -> bytes:
    """The root over the log in the database, by the definition of its leaves, in one pass."""
    tree = Frontier()
    for it in logged(url)[:size]:
        assert not isinstance(it.originator_id, str)
        data = event_leaf(it.id, it.originator_id, it.originator_version, it.topic, it.state)
        tree.append(leaf_hash(data))
    return tree.root()


def execute(url: str, statement: str, *values: object) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode(), values)


def append(url: str, count: int) -> None:
    """Put so many more events into the log in the database: by threes, but the last time."""
    statement: LiteralString = (
        "COPY log.events (originator_id, originator_version, topic, state) FROM STDIN (FORMAT binary)"
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        [first] = cursor.execute("SELECT 1 + count(*) FROM log.events").fetchone() or (1,)
        with cursor.copy(statement) as copy:
            copy.set_types(["uuid", "int8", "text", "bytea"])
            for it in stored_events(count, records=3, first=first):
                copy.write_row((it.originator_id, it.originator_version, it.topic, it.state))
