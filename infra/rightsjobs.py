"""What comes back for people's rights: retention is applied, and consents whose last day is over expire."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from domain.consent.aggregate import ConsentNotDue
from infra.retention import RetentionRunner
from infra.scheduling import Job
from projections.rights import ConsentFilter, ConsentState, Rights
from services.consents import Consents
from services.ports import CommandContext

ACTOR: Final = "lethe-scheduler"
EXPIRY_EVERY: Final = timedelta(hours=1)
RETENTION_EVERY: Final = timedelta(days=1)
PAGE: Final = 500


def retaining(runner: RetentionRunner) -> Job:
    """The job that applies the retention policies."""

    async def run(now: datetime) -> str:
        tally = await runner.apply(now)
        return f"erased for {tally.people} people: {sum(tally.categories.values())} categories"

    return Job(RETENTION_EVERY, run)


def expiring(rights: Rights, consents: Consents) -> Job:
    """The job that records expiries. Nothing waits for it: after its last day a consent is no basis."""

    async def run(now: datetime) -> str:
        return f"{await expire(rights, consents, now)} consents expired"

    return Job(EXPIRY_EVERY, run)


async def expire(rights: Rights, consents: Consents, now: datetime) -> int:
    """Record it of every consent whose last day is over, by the view; how many there were."""
    where, after, done = ConsentFilter(state=ConsentState.GIVEN, over_on=now.date()), None, 0
    while rows := await rights.list_consents(where, limit=PAGE, after=after):
        for row in rows:
            done += await _expire(consents, row.id, now)
        after = rows[-1].id
    return done


async def _expire(consents: Consents, id: UUID, now: datetime) -> bool:
    # Of the day: a run that is repeated records nothing twice, and a consent may well expire again.
    command_id = uuid5(id, f"expire/{now.date()}")
    context = CommandContext(
        command_id=command_id,
        request_digest=b"expire",
        actor=ACTOR,
        occurred_at=now,
        correlation_id=command_id,
    )
    try:
        outcome = await consents.expire(id=id, today=now.date(), context=context)
    except ConsentNotDue:
        # It was given anew, and the view does not show it yet.
        return False
    return not outcome.repeated
