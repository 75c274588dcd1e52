"""Signs a tree's checkpoints, each seen to continue those given out before, and writes them to the folder."""

import asyncio
import time
from typing import Any, Final

from psycopg import AsyncConnection

from infra.audit.checkpoints import PostgresCheckpoints, add
from infra.audit.folder import CheckpointFolder
from infra.audit.growing import Growth, TreeUnfit, tiles_at
from infra.audit.merkle import ProofInvalid, Span, consistency_spans, verify_consistency
from infra.audit.note import Checkpoint, Signer
from infra.audit.tiles import hashes_of, tiles_of

CHANGES_AT_ONCE: Final = 500


class Checkpointer:
    """One log's. To be used by the one process that makes its tree grow."""

    def __init__(
        self,
        log: str,
        signer: Signer,
        checkpoints: PostgresCheckpoints,
        folder: CheckpointFolder,
        *,
        seconds: float,
    ) -> None:
        """A tree that grew is signed at most every so many seconds. The signer's name is the log's origin."""
        self._log = log
        self._signer = signer
        self._checkpoints = checkpoints
        self._folder = folder
        self._seconds = seconds
        self._signed = 0
        self._signed_at = self._looked_at = -float("inf")

    async def keep_up(self, connection: AsyncConnection[Any], tree: Growth) -> None:
        """Sign if it is time, and write what is new. Raises `TreeUnfit` or `FolderUnfit`, signing nothing."""
        now = time.monotonic()
        if tree.size > self._signed and now - self._signed_at >= self._seconds:
            await self.check(connection, tree)
            checkpoint = Checkpoint(self._signer.name, tree.size, tree.root())
            note = self._signer.sign(checkpoint.text)
            await add(connection, self._log, checkpoint.size, checkpoint.root, note)
            self._signed, self._signed_at = checkpoint.size, now
        elif now - self._looked_at < self._seconds:
            return
        await self._write_folder()
        self._looked_at = now

    async def check(self, connection: AsyncConnection[Any], tree: Growth) -> None:
        """The tree must continue the newest checkpoint in the folder, and the newest one in the database."""
        outside = await asyncio.to_thread(self._folder.latest)
        if outside is not None:
            await self._check_continues(connection, tree, outside.size, outside.root)
        stored = await self._checkpoints.latest()
        if stored is not None:
            await self._check_continues(connection, tree, stored.size, stored.root)
            self._signed = stored.size

    async def _check_continues(
        self, connection: AsyncConnection[Any], tree: Growth, size: int, root: bytes
    ) -> None:
        if size > tree.size:
            raise TreeUnfit(f"the log has shrunk: signed at {size} leaves, there are {tree.size}")
        spans = [Span(0, size), *consistency_spans(size, tree.size)]
        try:
            before, *proof = hashes_of(spans, await tiles_at(connection, self._log, tiles_of(spans)))
            verify_consistency(size, tree.size, before, tree.root(), proof)
        except (KeyError, ProofInvalid):
            raise TreeUnfit(f"the tree is not one with its own first {size} leaves") from None
        if before != root:
            raise TreeUnfit(f"the log has forked: its first {size} leaves are not those that were signed")

    async def _write_folder(self) -> None:
        change = await asyncio.to_thread(self._folder.change)
        while found := await self._checkpoints.changed(change, CHANGES_AT_ONCE):
            await asyncio.to_thread(self._folder.write, [(it.change, it.size, it.note) for it in found])
            change = found[-1].change
