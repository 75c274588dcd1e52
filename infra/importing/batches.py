"""Drafts of a file in batches; those of a big file come from a process of its own.

Reading and validating a row takes about as long as sealing and storing it, and Python has one core a process.
Until that process has started, the first batches are drafted here where they can be had at once: equal rows
make equal drafts.
"""

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from infra.eventloop import spare_the_garbage_collector
from infra.importing.drafting import Drafting
from infra.importing.drafts import Draft, Names, Rejected
from infra.importing.mapping import Mapping
from infra.importing.rows import BadFile, Row, read
from services.ports import BlindIndex

BATCH = 256
BIG_BYTES = 1_000_000


class Batch(NamedTuple):
    """Some of the drafts, and how many rows have been read for them since the beginning."""

    rows: int
    items: list[Draft | Rejected]


NextBatch = Callable[[], Awaitable[Batch | None]]
"""The next batch, None at the end. May be asked for by several tasks at once. Raises `BadFile`."""


@dataclass(slots=True)
class DraftedFile:
    """A file to be drafted. Goes from process to process."""

    path: Path
    mapping: Mapping
    blind: BlindIndex
    now: datetime
    rows: int = 0

    @property
    def begins_at_once(self) -> bool:
        """Whether its first rows come without all of it, or of a file that is joined to it, being read."""
        kinds = {it.lower() for it in self.path.suffixes}
        return not self.mapping.joins and kinds.isdisjoint((".vcf", ".vcard"))

    def batches(self) -> Iterator[Batch]:
        """All of it. Raises `BadFile`."""
        drafting = Drafting(self.mapping, Names(self.blind, self.mapping.realm), self.now)
        drafts = drafting.drafts(self._counted(read(self.path, self.mapping)))
        while items := list(islice(drafts, BATCH)):
            yield Batch(self.rows, items)

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.rows = row.number
            yield row


@asynccontextmanager
async def batches_of(file: DraftedFile) -> AsyncIterator[NextBatch]:
    """What hands out the file's batches while the block runs."""
    if file.path.stat().st_size < BIG_BYTES:
        batches = file.batches()

        async def following() -> Batch | None:
            return next(batches, None)

        yield following
    else:
        async with _beside(file) as following_beside:
            yield following_beside


@asynccontextmanager
async def _beside(file: DraftedFile) -> AsyncIterator[NextBatch]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_draft, args=(file, theirs), name="lethe-drafting", daemon=True)
    process.start()
    theirs.close()
    beginning = replace(file).batches() if file.begins_at_once else None
    turn, ended, told = asyncio.Lock(), False, 0

    async def following() -> Batch | None:
        nonlocal beginning, ended, told
        async with turn:
            if ended:
                return None
            if beginning and not ours.poll() and (batch := next(beginning, None)) is not None:
                told += 1
                return batch
            try:
                answer = await asyncio.to_thread(_after, told, ours)
            except (EOFError, OSError):  # between two messages, or in the middle of one
                raise BadFile(f"{file.path.name}: reading was cut short; import it again to go on") from None
            beginning, told, ended = None, 0, not isinstance(answer, Batch)
        if isinstance(answer, BadFile):
            raise answer
        return answer

    try:
        yield following
    finally:
        # Killed first: that ends a read which a cancelled import left behind.
        process.kill()
        await asyncio.to_thread(process.join)
        ours.close()


def _after(told: int, pipe: Connection) -> Batch | BadFile | None:
    """What follows the batches that are told already."""
    for _ in range(told):
        pipe.recv_bytes()
    answer: Batch | BadFile | None = pipe.recv()
    return answer


def _draft(file: DraftedFile, pipe: Connection) -> None:
    """The other process: sends every batch, then None, or why there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the importing process hears it, and ends this one
    spare_the_garbage_collector()
    try:
        try:
            for batch in file.batches():
                pipe.send(batch)
        except BadFile as error:
            pipe.send(error)
        else:
            pipe.send(None)
    except BrokenPipeError:
        return  # the importing process is gone
