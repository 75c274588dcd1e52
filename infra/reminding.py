"""Attends to the privacy requests: says when a deadline comes near, and carries on with erasures begun."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.privacyrequest.deadline import notice_due
from domain.privacyrequest.terms import RequestState
from infra.scheduling import Job
from projections.privacy import PrivacyRequestFilter, PrivacyRequestRow, PrivacyRequests
from services.privacyrequests import PrivacyRequests as Commands

EVERY: Final = timedelta(minutes=5)
WEEK: Final = timedelta(days=7)
PAGE: Final = 200


def attending(view: PrivacyRequests, commands: Commands) -> Job:
    """The job. A reminder is an event, `privacy.reminded`: whoever is to know of it subscribes."""

    async def run(now: datetime) -> str:
        reminded = await remind(view, commands, now)
        erased, waiting = await carry_on(view, commands, now)
        return f"{reminded} reminded, {erased} erasures done, {waiting} wait for a legal hold"

    return Job(EVERY, run)


async def remind(view: PrivacyRequests, commands: Commands, now: datetime) -> int:
    """Give the notice that is due on each open request, once; how many were given."""
    soon = PrivacyRequestFilter(
        state=RequestState.OPEN, due_before=(now.astimezone(UTC) + WEEK).date() + timedelta(days=1)
    )
    given = 0
    async for row in _all(view, soon, now):
        notice = notice_due(row.due_on, now)
        if notice is not None and notice is not row.notice:
            outcome = await commands.remind(id=row.id, notice=notice, due_on=row.due_on)
            given += not outcome.repeated
    return given


async def carry_on(view: PrivacyRequests, commands: Commands, now: datetime) -> tuple[int, int]:
    """Finish the erasures that were begun for requests; how many are done, and how many are held.

    One that fails keeps none of the others waiting; the failures are raised together at the end.
    """
    done = held = 0
    failures: list[Exception] = []
    begun = PrivacyRequestFilter(state=RequestState.OPEN, erasing=True)
    async for row in _all(view, begun, now):
        try:
            fulfilment = await commands.carry_on(row.id)
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)
            continue
        held += fulfilment.held
        done += not fulfilment.held
    if failures:
        raise ExceptionGroup("erasures that were asked for and could not be finished", failures)
    return done, held


async def _all(
    view: PrivacyRequests, where: PrivacyRequestFilter, at: datetime
) -> AsyncIterator[PrivacyRequestRow]:
    after = None
    while rows := await view.list_requests(where, at=at, limit=PAGE, after=after):
        for row in rows:
            yield row
        after = rows[-1].id
