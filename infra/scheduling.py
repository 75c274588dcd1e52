"""Work that comes back: named jobs, each on its interval, one run of each at a time over all processes.

Any number of processes may schedule: who takes a job's advisory lock runs it, the others stand by. The lock
goes with its connection, so a killed process leaves a job free, and the next one begins it anew.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import structlog
from psycopg import AsyncConnection
from pydantic import BaseModel, Field

from domain.model import DomainError
from infra.ending import ended
from infra.outage import unavailable_on_outage
from infra.postgres.database import Pool
from infra.supervision import supervise
from services.ports import Clock

LOCK: Final = 0x6A6F6273  # "jobs": the first half of every job's lock; the second is its name's hash
LOOK_SECONDS: Final = 5.0
RETRY_AFTER: Final = timedelta(minutes=5)
INTERRUPTED: Final = "interrupted"

COLUMNS: LiteralString = "name, every_seconds, state, outcome, started_at, ended_at, succeeded_at, next_at"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What is done every so often, for the first time one interval after it is first known.

    `run` gets the present moment and answers in one line without personal data what it did. It may be killed
    at any point and is run again, and a lost connection may let two runs overlap: it must converge.
    """

    every: timedelta
    run: Callable[[datetime], Awaitable[str]]


class JobRunning(DomainError):
    """The job is being run by another process."""


class UnknownJob(Exception):
    """There is no job of this name."""


class JobState(BaseModel):
    """A job as things stand. It may be `running` in name only: killed, until it is begun anew."""

    name: str
    every_seconds: float
    state: str = Field(description="waiting, running, done, failed or interrupted.")
    outcome: str | None = Field(description="What the last run did; the kind of error where it failed.")
    started_at: datetime | None
    ended_at: datetime | None
    succeeded_at: datetime | None
    next_at: datetime


class Scheduler:
    """Runs the jobs that are due, until told to stop. One that fails is reported and keeps none waiting."""

    def __init__(self, pool: Pool, url: str, clock: Clock, jobs: Mapping[str, Job]) -> None:
        self._pool = pool
        self._url = url
        self._clock = clock
        self._jobs = jobs

    async def run(self, stop: asyncio.Event) -> None:
        """Look every 5 s what is due. What is under way when `stop` is set is cancelled, and due at once."""
        await self.announce()
        jobs = [
            asyncio.create_task(supervise(f"job {it}", lambda it=it: self._keep(it, stop), stop), name=it)  # type: ignore[misc]
            for it in self._jobs
        ]
        try:
            await stop.wait()
        finally:
            await ended(*jobs)

    async def announce(self) -> None:
        """Make the jobs known, and forget those that are no more."""
        now = self._clock.now()
        for name, job in self._jobs.items():
            await self._execute(
                "INSERT INTO schedule.jobs AS it (name, every_seconds, next_at) VALUES (%s, %s, %s)"
                " ON CONFLICT (name) DO UPDATE SET every_seconds = excluded.every_seconds,"
                " next_at = least(it.next_at, excluded.next_at)",
                [name, job.every.total_seconds(), now + job.every],
            )
        await self._execute("DELETE FROM schedule.jobs WHERE name <> ALL (%s::text[])", [list(self._jobs)])

    async def run_due(self, name: str) -> bool:
        """Run the job if it is due and nobody runs it. False where it was not run."""
        if not await self._is_due(name):
            return False
        async with self._locked(name) as mine:
            # Asked again: somebody may have run it between the two.
            if not mine or not await self._is_due(name):
                return False
            await self._run(name)
            return True

    async def run_now(self, name: str) -> JobState:
        """Run the job, due or not. Raises `UnknownJob`, or `JobRunning` where another process runs it."""
        if name not in self._jobs:
            raise UnknownJob(name)
        await self.announce()
        async with self._locked(name) as mine:
            if not mine:
                raise JobRunning(name)
            await self._run(name)
        return next(it for it in await states(self._pool) if it.name == name)

    async def _keep(self, name: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.run_due(name)
            await asyncio.sleep(LOOK_SECONDS)

    async def _run(self, name: str) -> None:
        job, started = self._jobs[name], self._clock.now()
        # Due again soon, so that a job which kills its process does not do so in a tight circle.
        await self._execute(
            "UPDATE schedule.jobs SET state = 'running', started_at = %s, ended_at = NULL, next_at = %s"
            " WHERE name = %s",
            [started, started + min(job.every, RETRY_AFTER), name],
        )
        try:
            outcome = await job.run(started)
        except asyncio.CancelledError:
            await self._end(name, INTERRUPTED, None, self._clock.now())
            raise
        except Exception as error:
            # Reported, and tried again soon: one job's fault is no other's.
            log.error("job_failed", job=name, exc_info=error)
            await self._end(name, "failed", type(error).__name__, started + min(job.every, RETRY_AFTER))
        else:
            await self._end(name, "done", outcome, started + job.every)

    async def _end(self, name: str, state: str, outcome: str | None, next_at: datetime) -> None:
        now = self._clock.now()
        await self._execute(
            "UPDATE schedule.jobs SET state = %s, outcome = %s, ended_at = %s, next_at = %s,"
            " succeeded_at = CASE WHEN %s THEN %s ELSE succeeded_at END WHERE name = %s",
            [state, outcome, now, next_at, state == "done", now, name],
        )

    async def _is_due(self, name: str) -> bool:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                found = await connection.execute("SELECT next_at FROM schedule.jobs WHERE name = %s", [name])
                row = await found.fetchone()
        return row is not None and bool(row[0] <= self._clock.now())

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[bool]:
        """Whether the job is ours to run. On a connection of its own, which no pooler may share."""
        with unavailable_on_outage():
            connection = await AsyncConnection.connect(
                self._url, autocommit=True, application_name=f"lethe job {name}"[:63], connect_timeout=5
            )
        async with connection:
            found = await connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK, name])
            row = await found.fetchone()
            yield row is not None and bool(row[0])

    async def _execute(self, statement: LiteralString, values: list[Any]) -> None:
        with unavailable_on_outage():
            async with self._pool.connection() as connection:
                await connection.execute(statement, values)


async def states(pool: Pool) -> list[JobState]:
    """Every job that was ever scheduled here, by name."""
    with unavailable_on_outage():
        async with pool.connection() as connection:
            found = await connection.execute(f"SELECT {COLUMNS} FROM schedule.jobs ORDER BY name")  # noqa: S608
            rows = await found.fetchall()
    names = COLUMNS.split(", ")
    return [JobState(**dict(zip(names, row, strict=True))) for row in rows]
