"""`lethe schedule`: the process that runs what comes back, and a look at it."""

from enum import StrEnum
from typing import Annotated

import typer

from infra.bootstrap import open_system
from infra.cli.command import Answer, Call, command
from infra.scheduling import JobState, Scheduler, UnknownJob, states


class Act(StrEnum):
    """What to do instead of running the schedule."""

    STATUS = "status"
    RUN = "run"


@command("schedule")
async def schedule(
    call: Call,
    act: Annotated[
        Act | None, typer.Argument(help="Absent: run what is due, until told to stop.", show_default=False)
    ] = None,
    job: Annotated[str | None, typer.Argument(help="With run: which job.", show_default=False)] = None,
) -> Answer:
    """Run the jobs that are due; several processes may: one runs each job, the others stand by.

    `status` shows when each job was last run and is run next; `run JOB` runs one now.
    """
    if (act is Act.RUN) is (job is None):
        raise typer.BadParameter("a job is named with `run`, and only with it")
    match act:
        case Act.STATUS:
            async with open_system(call.settings, migrated=False) as system:
                found = await states(system.pool)
            return Answer(
                {"jobs": [it.model_dump(mode="json") for it in found]}, "\n".join(map(_in_words, found))
            )
        case Act.RUN:
            return await _run(call, str(job))
    from infra.cli.serving import STOPPED
    from infra.up import schedule as run

    await run(call.settings, call.say)
    return STOPPED


async def _run(call: Call, name: str) -> Answer:
    # Here: most commands start without the work they would not do.
    from infra.work import schedule_jobs

    async with open_system(call.settings, migrated=False) as system:
        jobs = schedule_jobs(system)
        try:
            done = await Scheduler(system.pool, system.database.url, system.clock, jobs).run_now(name)
        except UnknownJob:
            raise typer.BadParameter(f"no job {name!r}; there are: {', '.join(sorted(jobs))}") from None
    return Answer(done, _in_words(done), well=done.state == "done")


def _in_words(job: JobState) -> str:
    words = f"{job.name}: {job.state}"
    if job.ended_at is not None:
        words += f" {job.ended_at:%Y-%m-%d %H:%M:%S}"
    if job.outcome:
        words += f" ({job.outcome})"
    return f"{words}, next {job.next_at:%Y-%m-%d %H:%M:%S}"
