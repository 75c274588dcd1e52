"""Row 21: kill -9 between every pair of the erasure's steps. It converges; no key goes without a request."""

import multiprocessing
import signal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.model import Category, Erased, Sealed
from domain.values import ErasureGround
from infra import json
from infra.ledger import LedgerFile, Line, verify
from services.ports import KeyState, RecordNotFound
from tests.faults import dying_eraser
from tests.faults.dying_eraser import POINTS, asking
from tests.faults.sealed_log import SealedLog, sealed_log

# Each eraser is a process of its own, forked from one that has imported everything and done nothing.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([dying_eraser.__name__])


class Person:
    """Somebody with keys, a name in the log and a row in the blind index; and the request to erase them."""

    def __init__(self, log: SealedLog, url: str, ledger: Path) -> None:
        self.log = log
        self.url = url
        self.ledger = ledger
        self.subject_id = uuid4()
        self.erasure_id = uuid4()
        self.name: Sealed

    async def appear(self) -> None:
        record_id = await self.log.register(self.subject_id)
        [event] = (await self.log.application.store.load(record_id)).events
        self.name = event.name  # type: ignore[attr-defined]
        row = "INSERT INTO directory.blind_index VALUES (%s, %s, 'email', sha256('x')) RETURNING 1"
        assert await self.log.rows(row, record_id, self.subject_id)

    async def ask(self) -> None:
        """The client, left without an answer, repeats its request."""
        outcome = await self.log.erasures.request(
            id=self.erasure_id,
            erased_subject_id=self.subject_id,
            ground=ErasureGround.CONSENT_WITHDRAWN,
            context=asking(self.erasure_id),
        )
        await self.log.erasures.run(outcome.id)

    def erase(self, what: str, point: str) -> int:
        """In a process of its own; its exit status."""
        process = PROCESSES.Process(
            target=dying_eraser.run,
            args=(self.url, self.ledger, what, self.erasure_id, self.subject_id, point),
        )
        process.start()
        process.join(60)
        assert process.exitcode is not None, "it neither died nor ended"
        return process.exitcode

    async def topics(self) -> list[str]:
        rows = await self.log.rows(
            "SELECT topic FROM log.events WHERE originator_id = %s ORDER BY originator_version",
            self.erasure_id,
        )
        return [topic for (topic,) in rows]

    async def is_whole(self) -> bool:
        return (await self.log.unsealer.open([self.name]))[self.name] == "Ann"

    async def check_no_key_went_unasked(self) -> None:
        if not await self.is_whole():
            assert "erasure.requested" in await self.topics(), "a key is gone without a durable request"
            assert self.entries(), "a key is gone that the ledger does not know of"

    def entries(self) -> list[Line]:
        """What the ledger says of this erasure."""
        lines = LedgerFile(self.ledger).after(None)
        return [it for it in lines if it.fields.get("erasure_id") == str(self.erasure_id)]

    async def check_is_erased(self) -> None:
        assert await self.topics() == ["erasure.requested", "subject.erased"]
        assert (await self.log.unsealer.open([self.name])) == {self.name: Erased(Category.IDENTITY)}
        assert (await self.log.ring.states(self.subject_id))[Category.IDENTITY] is KeyState.ERASED
        assert await self.log.ring.erased([self.subject_id]) == {self.subject_id}
        assert await self.log.rows("SELECT FROM directory.blind_index") == []
        assert await self.said("fingerprints") == [self.name.fingerprint]
        assert [it.mark.hash for it in self.entries()] == [await self.said("ledger_hash")], "entered once"
        assert verify(self.ledger).fault is None

    async def said(self, field: str) -> Any:
        """What the log says of the end of the keys."""
        [(state,)] = await self.log.rows("SELECT state FROM log.events WHERE topic = 'subject.erased'")
        return json.decode(state)["data"][field]


async def survive(url: str, folder: Path, points: list[str]) -> None:
    """Killed at the first point, then killed again while it resumes, then left in peace."""
    ledger = folder / "ledger" / "erasures.jsonl"
    async with sealed_log(url, size=2, ledger=ledger) as log:
        person = Person(log, url, ledger)
        await person.appear()
        assert person.erase("request", points[0]) == -signal.SIGKILL, "it was not killed"
        await person.check_no_key_went_unasked()
        for point in points[1:]:
            person.erase("resume", point)
            await person.check_no_key_went_unasked()
        if not await person.topics():
            assert await person.is_whole()
            assert await log.erasures.resume() == 0
            await person.ask()
        else:
            await log.erasures.resume()
        await person.check_is_erased()
        assert await log.erasures.resume() == 0
        await person.ask()
        await person.check_is_erased()


@pytest.mark.parametrize("point", POINTS)
async def test_an_erasure_killed_anywhere_is_finished_by_the_next_process(
    database_url: str, tmp_path: Path, point: str
) -> None:
    await survive(database_url, tmp_path, [point])
    print(f"row 21, killed {point}: converged")


async def test_an_erasure_killed_again_and_again_is_finished_in_the_end(
    database_url: str, tmp_path: Path
) -> None:
    await survive(database_url, tmp_path, list(POINTS[1:]))
    print(f"row 21, killed at {len(POINTS) - 1} points one after the other: converged")


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("first", POINTS)
@pytest.mark.parametrize("second", POINTS[2:])
async def test_an_erasure_killed_twice_is_finished_by_the_third_process(
    database_url: str, tmp_path: Path, first: str, second: str
) -> None:
    await survive(database_url, tmp_path, [first, second])


async def test_the_check_finds_a_key_that_went_without_a_request(database_url: str, tmp_path: Path) -> None:
    async with sealed_log(database_url, size=2) as log:
        person = Person(log, database_url, tmp_path / "ledger")
        await person.appear()
        await log.ring.shred(person.subject_id)  # what the saga must never do first
        with pytest.raises(AssertionError, match="without a durable request"):
            await person.check_no_key_went_unasked()


async def test_an_erasure_that_nobody_requested_destroys_nothing(database_url: str, tmp_path: Path) -> None:
    async with sealed_log(database_url, size=2) as log:
        person = Person(log, database_url, tmp_path / "ledger")
        await person.appear()
        with pytest.raises(RecordNotFound):
            await log.erasures.run(UUID(int=1))
        assert await person.is_whole()
