"""The checks of an inspection: each asks the database one question about a rule, and changes nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from infra.bootstrap import System
from infra.inspection.findings import Finding, Severity, found
from infra.outage import unavailable_on_outage

DUE_SOON: Final = timedelta(days=7)
UNFINISHED_AFTER: Final = timedelta(hours=1)
UNACKNOWLEDGED_AFTER: Final = timedelta(days=7)
STANDING_LONG: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Look:
    """Where the checks look, and the moment they look at."""

    system: System
    now: datetime

    async def rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        with unavailable_on_outage():
            async with self.system.pool.connection() as connection:
                return await (await connection.execute(query, values)).fetchall()

    async def ids(self, query: LiteralString, *values: Any) -> list[Any]:
        """The first column."""
        return [row[0] for row in await self.rows(query, *values)]

    async def count(self, query: LiteralString, *values: Any) -> int:
        [(number,)] = await self.rows(query, *values)
        return int(number)


Findings = tuple[int, list[Finding]]
"""How many things were looked at, and what was found."""


@dataclass(frozen=True, slots=True)
class Check:
    """A question, the rule behind it, and how it is asked."""

    name: str
    asks: str
    rule: str
    look: Callable[[Look], Awaitable[Findings]]


async def _bases(look: Look) -> Findings:
    """Whether each customer's basis and purpose are in order."""
    unregistered = await look.ids(
        "SELECT DISTINCT purpose FROM directory.customers AS it WHERE NOT EXISTS"
        " (SELECT FROM rights.activities AS entry WHERE entry.code = it.purpose AND entry.retired_at IS NULL)"
        " ORDER BY purpose"
    )
    without = await look.ids(
        "SELECT it.id FROM directory.customers AS it WHERE it.lawful_basis = 'consent' AND NOT it.archived"
        " AND NOT EXISTS (SELECT FROM rights.consents AS agreed WHERE agreed.subject_id = it.subject_id"
        " AND agreed.state = 'given' AND (agreed.expires_on IS NULL OR agreed.expires_on >= %s))"
        " AND NOT EXISTS (SELECT FROM directory.erasures AS gone WHERE gone.erased_subject_id = it.subject_id"
        " AND gone.erased_at IS NOT NULL AND gone.categories = '{}')"
        " ORDER BY it.id",
        look.now.date(),
    )
    return await look.count("SELECT count(*) FROM directory.customers"), [
        *found(
            "basis", Severity.FAULT, "customers on consent, of whom no living consent is recorded", without
        ),
        *found("basis", Severity.ADVICE, "purposes of customers that no activity names", unregistered),
    ]


async def _register(look: Look) -> Findings:
    """Whether the register says all that it has to. What contradicts itself was never let in."""
    living = await look.rows(
        "SELECT code, retention, security FROM rights.activities WHERE retired_at IS NULL ORDER BY code"
    )
    empty = [] if living else ["no activity is registered"]
    return len(living), [
        *found("register", Severity.ADVICE, "empty register of processing", empty),
        *found(
            "register",
            Severity.FAULT,
            "activities without a word on retention",
            [code for code, retention, _ in living if not retention],
        ),
        *found(
            "register",
            Severity.FAULT,
            "activities without a word on security",
            [code for code, _, security in living if not security],
        ),
    ]


async def _requests(look: Look) -> Findings:
    """Whether people are answered in time."""
    # A request is late once its last day is over, in UTC.
    late = await look.ids(
        "SELECT id FROM privacy.requests WHERE state = 'open' AND due_on < %s ORDER BY due_on, id",
        look.now.date(),
    )
    soon = await look.ids(
        "SELECT id FROM privacy.requests WHERE state = 'open' AND due_on BETWEEN %s AND %s ORDER BY due_on",
        look.now.date(),
        (look.now + DUE_SOON).date(),
    )
    return await look.count("SELECT count(*) FROM privacy.requests"), [
        *found("requests", Severity.LATE, "privacy requests past their deadline", late),
        *found("requests", Severity.ADVICE, "privacy requests due within a week", soon),
    ]


async def _erasures(look: Look) -> Findings:
    """Whether what was asked to be erased is gone everywhere, as far as can be known."""
    unfinished = await look.ids(
        "SELECT id FROM directory.erasures WHERE erased_at IS NULL AND NOT held AND requested_at < %s",
        look.now - UNFINISHED_AFTER,
    )
    held = await look.ids("SELECT id FROM directory.erasures WHERE erased_at IS NULL AND held ORDER BY id")
    silent = await look.ids(
        "SELECT id FROM directory.erasures WHERE erased_at < %s AND acknowledged_by = '{}' ORDER BY id",
        look.now - UNFINISHED_AFTER,
    )
    late = await look.ids(
        "SELECT it.name || ': ' || count(*) FROM rights.subscribers AS it JOIN directory.erasures AS gone"
        " ON gone.erased_at >= it.registered_at AND gone.erased_at < %s"
        " AND NOT gone.acknowledged_by @> ARRAY[it.name]"
        " WHERE it.ended_at IS NULL GROUP BY it.name ORDER BY it.name",
        look.now - UNACKNOWLEDGED_AFTER,
    )
    return await look.count("SELECT count(*) FROM directory.erasures"), [
        *found("erasures", Severity.LATE, "erasures that were asked for and are not done", unfinished),
        *found("erasures", Severity.ADVICE, "erasures that a legal hold keeps waiting", held),
        *found("erasures", Severity.ADVICE, "erasures that no subscriber has acknowledged", silent),
        *found(
            "erasures",
            Severity.LATE,
            "subscribers that have not acknowledged erasures of more than a week ago",
            late,
        ),
    ]


async def _standing(look: Look) -> Findings:
    """Whether holds and restrictions stand for longer than anybody remembers why."""
    since = look.now - STANDING_LONG
    holds = await look.ids(
        "SELECT id FROM rights.holds WHERE lifted_at IS NULL AND placed_at < %s ORDER BY id", since
    )
    restrictions = await look.ids(
        "SELECT id FROM rights.restrictions WHERE lifted_at IS NULL AND imposed_at < %s ORDER BY id", since
    )
    number = await look.count(
        "SELECT (SELECT count(*) FROM rights.holds WHERE lifted_at IS NULL)"
        " + (SELECT count(*) FROM rights.restrictions WHERE lifted_at IS NULL)"
    )
    return number, [
        *found("standing", Severity.ADVICE, "legal holds that stand for more than a year", holds),
        *found("standing", Severity.ADVICE, "restrictions that stand for more than a year", restrictions),
    ]


async def _consents(look: Look) -> Findings:
    """Whether consents that are over are called so."""
    over = await look.ids(
        "SELECT id FROM rights.consents WHERE state = 'given' AND expires_on < %s ORDER BY id",
        look.now.date(),
    )
    return await look.count("SELECT count(*) FROM rights.consents"), found(
        "consents", Severity.LATE, "consents whose last day is over and that are still called given", over
    )


async def _jobs(look: Look) -> Findings:
    """Whether what has to come back does."""
    rows = await look.rows(
        "SELECT name, every_seconds, succeeded_at, next_at, state FROM schedule.jobs ORDER BY name"
    )
    late = [
        name
        for name, every, succeeded, due, _ in rows
        if due < look.now - timedelta(seconds=every)
        or (succeeded and succeeded < look.now - timedelta(seconds=3 * every))
    ]
    failed = [name for name, *_, state in rows if state == "failed"]
    return len(rows), [
        *found("jobs", Severity.LATE, "scheduled jobs that have not run for long", late),
        *found("jobs", Severity.FAULT, "scheduled jobs whose last run failed", failed),
    ]


CHECKS: Final = (
    Check(
        "basis", "Does every customer have a lawful basis that holds?", "GDPR 5(1)(a), 6, 7; PIPL 13", _bases
    ),
    Check("register", "Does the register of processing say what it must?", "GDPR 30", _register),
    Check("consents", "Are consents that are over called so?", "GDPR 7", _consents),
    Check("requests", "Are people answered in time?", "GDPR 12(3); PIPL 50", _requests),
    Check("erasures", "Is what was to be erased gone?", "GDPR 17, 19; PIPL 47", _erasures),
    Check("standing", "Do holds and restrictions still have a reason?", "GDPR 18; 17(3)(e)", _standing),
    Check("jobs", "Does what has to come back come back?", "GDPR 24; HIPAA 164.308(a)(8)", _jobs),
)
