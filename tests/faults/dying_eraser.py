"""A process that erases one person and kills itself, as kill -9 does, at the point it is told."""

import asyncio
import os
import signal
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from domain.erasure.events import ErasureRequested, SubjectErased
from domain.model import Category
from domain.values import ErasureGround
from infra.ledgerkeeping import KeptLedger
from infra.postgres.indexpurger import PostgresIndexPurger
from services.application import Application
from services.erasures import Erasures
from services.ports import CommandContext, Commit, History, KeyName, Outcome, Recorded, Shredded, Standing
from tests.faults.sealed_log import SealedLog, WallClock, command, open_kept, sealed_log

POINTS: Sequence[str] = (
    "before the request is stored",
    "after the request is stored",
    "before the ledger is written",
    "after the ledger is written",
    "before the keys are destroyed",
    "while the keys are destroyed",
    "after the keys are destroyed",
    "before the index is purged",
    "after the index is purged",
    "before the erasure is recorded",
    "after the erasure is recorded",
)


class Death:
    """Comes at one point, without a word."""

    def __init__(self, point: str) -> None:
        self._point = point

    def at(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalStore:
    def __init__(self, log: SealedLog, death: Death) -> None:
        self._store = log.application.store
        self._death = death

    async def load(self, originator_id: UUID, *, after: int = 0) -> History:
        return await self._store.load(originator_id, after=after)

    async def append_all(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        return [await self.append(it) for it in commits]

    async def outcome_of(self, context: CommandContext) -> Outcome | None:
        return await self._store.outcome_of(context)

    async def append(self, commit: Commit) -> Outcome:
        self._die("before", commit)
        outcome = await self._store.append(commit)
        self._die("after", commit)
        return outcome

    def _die(self, when: str, commit: Commit) -> None:
        match commit.events:
            case (ErasureRequested(),):
                self._death.at(f"{when} the request is stored")
            case (SubjectErased(),):
                self._death.at(f"{when} the erasure is recorded")


class MortalShredder:
    def __init__(self, log: SealedLog, death: Death) -> None:
        self._log = log
        self._death = death

    async def standings(self, subject_ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        return await self._log.ring.standings(subject_ids)

    async def unsealed(self, subject_ids: Collection[UUID]) -> Set[KeyName]:
        return await self._log.ring.unsealed(subject_ids)

    async def shred(self, subject_id: UUID, categories: Set[Category] = frozenset()) -> Shredded:
        self._death.at("before the keys are destroyed")
        async with self._log.pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT keys.shred(%s, %s)", (subject_id, sorted(categories)))
            self._death.at("while the keys are destroyed")
        shredded = await self._log.ring.shred(subject_id, categories)
        self._death.at("after the keys are destroyed")
        return shredded


class MortalLedger:
    def __init__(self, ledger: KeptLedger, death: Death) -> None:
        self._ledger = ledger
        self._death = death

    async def enter(self, request: Recorded) -> str:
        self._death.at("before the ledger is written")
        entered = await self._ledger.enter(request)
        self._death.at("after the ledger is written")
        return entered

    async def retract(self, request: Recorded) -> None:
        await self._ledger.retract(request)


class MortalPurger:
    def __init__(self, log: SealedLog, death: Death) -> None:
        self._purger = PostgresIndexPurger(log.pool)
        self._death = death

    async def purge(self, subject_id: UUID) -> None:
        self._death.at("before the index is purged")
        await self._purger.purge(subject_id)
        self._death.at("after the index is purged")


def asking(erasure_id: UUID) -> CommandContext:
    """The same command whenever the client repeats it."""
    return replace(command(reason="asked by mail"), command_id=erasure_id, request_digest=b"the same")


async def mortal(log: SealedLog, point: str, ledger: Path) -> Erasures:
    death = Death(point)
    return Erasures(
        Application(MortalStore(log, death), WallClock()),
        shredder=MortalShredder(log, death),
        purger=MortalPurger(log, death),
        subjects=log.ring,
        journal=log.journal,
        ledger=MortalLedger(await open_kept(log.pool, ledger), death),
    )


async def main(url: str, ledger: Path, what: str, erasure_id: UUID, subject_id: UUID, point: str) -> None:
    async with sealed_log(url, size=2, ledger=ledger) as log:
        erasures = await mortal(log, point, ledger)
        if what == "resume":
            await erasures.resume()
            return
        ground = ErasureGround.CONSENT_WITHDRAWN
        outcome = await erasures.request(
            id=erasure_id, erased_subject_id=subject_id, ground=ground, context=asking(erasure_id)
        )
        await erasures.run(outcome.id)


def run(url: str, ledger: Path, what: str, erasure_id: UUID, subject_id: UUID, point: str) -> None:
    """The process's whole life: `request` an erasure and carry it out, or `resume` what is unfinished."""
    asyncio.run(main(url, ledger, what, erasure_id, subject_id, point))
