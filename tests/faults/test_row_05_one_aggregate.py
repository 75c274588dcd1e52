"""Row 5: 64 writers on one aggregate. No update is lost, versions are contiguous, losers are told."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from domain.customer.aggregate import Customer
from domain.customer.events import CustomerNoteWritten
from services.application import Application
from services.ports import Outcome, StaleVersion, VersionConflict
from tests.eventlogs import Person, PostgresLog, SteppingClock, context, postgres_log

TORTURE = os.environ.get("LETHE_TORTURE") == "1"
COMMANDS_EACH = 20 if TORTURE else 4
WRITERS = 64
PROCESSES = 4

Answer = Outcome | StaleVersion | VersionConflict


@pytest.fixture
async def logs(database_url: str, tmp_path: Path) -> AsyncIterator[list[PostgresLog]]:
    """The log as several processes have it: with an appender each, that knows nothing of the others."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(postgres_log(database_url, tmp_path)) for _ in range(PROCESSES)
        ]


async def _race(logs: list[PostgresLog], ada: Person) -> list[Answer]:
    """Every writer writes notes, now and then only if the record is at the version it has seen."""
    applications = [Application(log.store, SteppingClock()) for log in logs]
    answers: list[Answer] = []

    async def write(writer: int) -> None:
        coin, application, seen = random.Random(writer), applications[writer % PROCESSES], 1
        for _ in range(COMMANDS_EACH):
            expected = seen if coin.random() < 0.3 else None
            try:
                outcome = await application.change(
                    Customer,
                    ada.id,
                    lambda it: it.write_note(text=f"note of {writer}"),
                    context=context(),
                    expected_version=expected,
                )
            except (StaleVersion, VersionConflict) as refusal:
                answers.append(refusal)
            else:
                answers.append(outcome)
                seen = outcome.version

    await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
    return answers


@pytest.mark.timeout(1800 if TORTURE else 300)
async def test_no_update_is_lost_and_every_loser_is_told(logs: list[PostgresLog]) -> None:
    ada = Person()
    await logs[0].store.append(ada.commit(ada.registered()))
    answers = await _race(logs, ada)
    told = Counter(type(answer).__name__ for answer in answers)
    events = (await logs[0].store.load(ada.id)).events
    versions = sorted(answer.version for answer in answers if isinstance(answer, Outcome))
    assert len(answers) == WRITERS * COMMANDS_EACH
    assert versions == list(range(2, len(versions) + 2))
    assert [event.originator_version for event in events] == [1, *versions]
    assert sum(isinstance(event, CustomerNoteWritten) for event in events) == len(versions)
    assert told["StaleVersion"] > 0
    print(
        f"\nrow 5: {len(answers)} commands of {WRITERS} writers in {PROCESSES} appenders on one record: "
        f"{told['Outcome']} applied, versions contiguous, {told['StaleVersion']} stale, "
        f"{told['VersionConflict']} out of turns"
    )


@pytest.mark.parametrize(("protected", "applied"), [(True, 1), (False, WRITERS)])
async def test_it_is_the_unique_constraint_that_holds(
    logs: list[PostgresLog], database_url: str, protected: bool, applied: int
) -> None:
    """What the protection is: without it every rival for one version is told that its update counts."""
    if not protected:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE log.events DROP CONSTRAINT one_event_a_version")
    ada = Person()
    await logs[0].store.append(ada.commit(ada.registered()))
    rivals = [logs[it % PROCESSES].store.append(ada.commit(ada.noted(2))) for it in range(WRITERS)]
    answers = await asyncio.gather(*rivals, return_exceptions=True)
    assert sum(isinstance(answer, Outcome) for answer in answers) == applied
    assert sum(isinstance(answer, VersionConflict) for answer in answers) == WRITERS - applied
