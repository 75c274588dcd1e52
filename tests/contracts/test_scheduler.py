"""The scheduler: what is due is run, by one process at a time, and a fault keeps nothing else waiting."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from infra.postgres.database import Pool, open_pool
from infra.scheduling import Job, JobRunning, JobState, Scheduler, UnknownJob, states

HOUR = timedelta(hours=1)


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database_url, size=4)
    yield pool
    await pool.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


class Work:
    """Counts its runs; the first ones fail, or wait for `going_on`."""

    def __init__(self, *, failures: int = 0) -> None:
        self.runs: list[datetime] = []
        self.failures = failures
        self.begun = asyncio.Event()
        self.going_on = asyncio.Event()
        self.going_on.set()

    async def __call__(self, now: datetime) -> str:
        self.runs.append(now)
        self.begun.set()
        await self.going_on.wait()
        if len(self.runs) <= self.failures:
            raise ValueError("Ada Lovelace")
        return f"run {len(self.runs)}"


def scheduler(pool: Pool, url: str, clock: SetClock, **jobs: Work) -> Scheduler:
    return Scheduler(pool, url, clock, {name: Job(HOUR, work) for name, work in jobs.items()})


async def state_of(pool: Pool, name: str) -> JobState:
    return next(it for it in await states(pool) if it.name == name)


async def test_a_job_is_first_run_one_interval_after_it_is_known(
    pool: Pool, database_url: str, clock: SetClock
) -> None:
    work = Work()
    schedule = scheduler(pool, database_url, clock, tidy=work)
    await schedule.announce()
    assert not await schedule.run_due("tidy")
    clock.moment += HOUR
    assert await schedule.run_due("tidy")
    assert not await schedule.run_due("tidy")
    assert work.runs == [clock.moment]
    found = await state_of(pool, "tidy")
    assert (found.state, found.outcome, found.succeeded_at) == ("done", "run 1", clock.moment)
    assert found.next_at == clock.moment + HOUR


async def test_a_restart_does_not_put_a_job_off(pool: Pool, database_url: str, clock: SetClock) -> None:
    for _ in range(3):
        await scheduler(pool, database_url, clock, tidy=Work()).announce()
        clock.moment += HOUR / 2
    assert await scheduler(pool, database_url, clock, tidy=Work()).run_due("tidy")


async def test_a_failure_is_told_by_its_kind_only_and_tried_again_soon(
    pool: Pool, database_url: str, clock: SetClock
) -> None:
    schedule = scheduler(pool, database_url, clock, tidy=Work(failures=1))
    assert (await schedule.run_now("tidy")).state == "failed"
    failed = await state_of(pool, "tidy")
    assert (failed.outcome, failed.succeeded_at) == ("ValueError", None)
    clock.moment = failed.next_at
    assert failed.next_at - failed.started_at < HOUR  # type: ignore[operator]
    assert await schedule.run_due("tidy")
    assert (await state_of(pool, "tidy")).state == "done"


async def test_of_two_processes_one_runs_a_job_and_the_other_stands_by(
    pool: Pool, database_url: str, clock: SetClock
) -> None:
    slow, other = Work(), Work()
    slow.going_on.clear()
    first = scheduler(pool, database_url, clock, tidy=slow)
    second = scheduler(pool, database_url, clock, tidy=other)
    running = asyncio.create_task(first.run_now("tidy"))
    await slow.begun.wait()
    assert (await state_of(pool, "tidy")).state == "running"
    clock.moment += 2 * HOUR
    assert not await second.run_due("tidy")
    with pytest.raises(JobRunning):
        await second.run_now("tidy")
    slow.going_on.set()
    await running
    assert other.runs == []


async def test_who_is_killed_in_a_job_leaves_it_to_the_next(
    pool: Pool, database_url: str, clock: SetClock
) -> None:
    slow, other = Work(), Work()
    slow.going_on.clear()
    running = asyncio.create_task(scheduler(pool, database_url, clock, tidy=slow).run_now("tidy"))
    await slow.begun.wait()
    async with pool.connection() as connection:
        # As when its process dies: the connection that holds the lock is gone, and nothing is written.
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'lethe job tidy' AND datname = current_database()"
        )
    clock.moment += HOUR
    assert await scheduler(pool, database_url, clock, tidy=other).run_due("tidy")
    assert len(other.runs) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_it_runs_what_is_due_whatever_fails_beside_it_and_stops(
    pool: Pool, database_url: str, clock: SetClock
) -> None:
    broken, sound, endless = Work(failures=9), Work(), Work()
    endless.going_on.clear()
    schedule = scheduler(pool, database_url, clock, broken=broken, endless=endless, sound=sound)
    await schedule.announce()
    clock.moment += HOUR
    stop = asyncio.Event()
    running = asyncio.create_task(schedule.run(stop))
    async with asyncio.timeout(20):
        await asyncio.gather(*(it.begun.wait() for it in (broken, sound, endless)))
        while (await state_of(pool, "sound")).state != "done":  # noqa: ASYNC110 - the state is in the database
            await asyncio.sleep(0.02)
        stop.set()
        await running
    assert {it.name: it.state for it in await states(pool)} == {
        "broken": "failed",
        "endless": "interrupted",
        "sound": "done",
    }
    assert (await state_of(pool, "endless")).next_at == clock.moment


async def test_a_job_that_is_no_more_is_forgotten(pool: Pool, database_url: str, clock: SetClock) -> None:
    await scheduler(pool, database_url, clock, old=Work(), tidy=Work()).announce()
    await scheduler(pool, database_url, clock, tidy=Work()).announce()
    assert [it.name for it in await states(pool)] == ["tidy"]


async def test_a_job_nobody_declared_is_not_run(pool: Pool, database_url: str, clock: SetClock) -> None:
    with pytest.raises(UnknownJob):
        await scheduler(pool, database_url, clock).run_now("tidy")
