"""Imports a file: reads, drafts, decides and stores its records, many at once; any of it may be repeated."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from uuid_utils.compat import uuid7

from domain.model import DomainError, happening_at
from infra.ending import ended
from infra.importing.batches import DraftedFile, NextBatch, batches_of
from infra.importing.drafts import Draft, Rejected
from infra.importing.known import KnownCommands
from infra.importing.mapping import Mapping
from infra.importing.rejects import RejectFile
from infra.importing.rows import Reason
from services.application import Application
from services.ports import BlindIndex, CommandContext, CommandReused, Outcome, Unavailable

T = TypeVar("T")
ACTOR = "lethe-import"
LANES = 6
ATTEMPTS_MAX = 8


class ImportReport(BaseModel):
    """What an import did, by kind of record. `position` is the log's, of the last record added."""

    file: str
    kind: str
    dry_run: bool
    rows: int = 0
    added: dict[str, int] = {}
    unchanged: dict[str, int] = {}
    rejected: int = 0
    conflicts: int = 0
    omitted: int = 0
    rejects: Path | None = None
    position: int = 0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every row is in the log now."""
        return self.rejected == self.conflicts == 0


@dataclass(slots=True)
class _Run:
    """The state of one import."""

    following: NextBatch
    rejects: RejectFile
    report: ImportReport
    progress: Callable[[int], None]
    correlation_id: UUID
    now: datetime
    added: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports files into one namespace. Each record is one commit, found again by its keyed command id."""

    application: Application
    blind: BlindIndex
    known: KnownCommands

    async def run(
        self,
        path: Path,
        mapping: Mapping,
        *,
        rejects: Path,
        dry_run: bool = False,
        progress: Callable[[int], None] = lambda row: None,
    ) -> ImportReport:
        """Import the file, or with `dry_run` only decide all of it. `progress` is told the rows read.

        What is in the log already is `unchanged`; what is there with other content is a conflict. Both a
        row left out and a field left out are listed in the file `rejects`, by field and rule, never by
        value. Raises `BadFile`, or `Unavailable` when the log stays away; then, as after a kill, running
        it again goes on where it stopped.
        """
        now, started = self.application.clock.now(), time.perf_counter()
        report = ImportReport(file=path.name, kind=mapping.kind, dry_run=dry_run)
        drafted = DraftedFile(path, mapping, self.blind, now)
        with RejectFile(rejects) as file:
            async with batches_of(drafted) as following:
                run = _Run(following, file, report, progress, uuid7(), now)
                await _all([asyncio.create_task(self._lane(run)) for _ in range(LANES)])
        return report.model_copy(
            update={
                "added": dict(run.added),
                "unchanged": dict(run.unchanged),
                "rejects": rejects if file.written else None,
                "seconds": round(time.perf_counter() - started, 3),
            }
        )

    async def _lane(self, run: _Run) -> None:
        while (batch := await run.following()) is not None:
            run.report.rows = max(run.report.rows, batch.rows)
            run.progress(run.report.rows)
            for it in batch.items:
                if isinstance(it, Rejected):
                    _reject(run, it)
            drafts = [(it, _context(run, it)) for it in batch.items if isinstance(it, Draft)]
            contexts = [context for _, context in drafts]
            answers = await _patiently(partial(self.known.answers, contexts))
            new = []
            for (draft, context), answer in zip(drafts, answers, strict=True):
                if answer is None:
                    new.append((draft, context))
                else:
                    _note(run, draft, answer)
            if run.report.dry_run:
                for draft, context in new:
                    _note(run, draft, _rehearse(draft, context))
            else:
                await self._store(run, new)

    async def _store(self, run: _Run, new: Sequence[tuple[Draft, CommandContext]]) -> None:
        waiting = new

        async def store() -> None:
            nonlocal waiting
            answers = await self.application.create_all([(it.decide, context) for it, context in waiting])
            answered = list(zip(waiting, answers, strict=True))
            waiting = [given for given, answer in answered if isinstance(answer, Unavailable)]
            for (draft, _), answer in answered:
                if not isinstance(answer, Unavailable):
                    _note(run, draft, answer)
            if waiting:
                raise Unavailable("the log could not take all of it just now")

        await _patiently(store)


def _context(run: _Run, draft: Draft) -> CommandContext:
    return CommandContext(
        command_id=draft.command_id,
        request_digest=draft.digest,
        actor=ACTOR,
        occurred_at=draft.commands[0].at or run.now,
        correlation_id=run.correlation_id,
    )


def _rehearse(draft: Draft, context: CommandContext) -> Outcome | DomainError | ValidationError:
    try:
        with happening_at(context.occurred_at):
            aggregate = draft.decide()
    except (DomainError, ValidationError) as refusal:
        return refusal
    return Outcome(draft.id, draft.subject_id, aggregate.version, 0)


def _note(run: _Run, draft: Draft, answer: Outcome | DomainError | ValidationError) -> None:
    """Count what became of the draft."""
    match answer:
        case Outcome():
            (run.unchanged if answer.repeated else run.added)[draft.kind] += 1
            run.report.position = max(run.report.position, answer.position)
        case CommandReused():
            run.report.conflicts += 1
            reason = Reason("row", "imported before under the same key, with other content")
            run.rejects.write(Rejected(draft.row, [reason]))
        case DomainError() | ValidationError():
            _reject(run, Rejected(draft.row, _reasons(answer)))


async def _all(lanes: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the lanes; where one fails, its error is the import's, and none goes on behind its back."""
    try:
        await asyncio.gather(*lanes)
    finally:
        await ended(*lanes)


def _reject(run: _Run, rejected: Rejected) -> None:
    if rejected.omitted:
        run.report.omitted += 1
    else:
        run.report.rejected += 1
    run.rejects.write(rejected)


def _reasons(refusal: DomainError | ValidationError) -> list[Reason]:
    if isinstance(refusal, DomainError):
        return [Reason("row", refusal.detail)]
    return [Reason(".".join(map(str, it["loc"])), it["type"]) for it in refusal.errors(include_input=False)]


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """The result of repeatable work, asked for again while the log is away: for about a minute."""
    for attempt in range(ATTEMPTS_MAX):
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(0.25 * 2**attempt)
    return await work()
