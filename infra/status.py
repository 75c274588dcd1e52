"""How the system is doing: for `lethe status`, for `/metrics`, and for those who ask whether it is ready."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, LiteralString
from uuid import UUID

from pydantic import BaseModel, Field

from infra.audit.figures import TreeFigures
from infra.audit.figures import fault as tree_fault
from infra.audit.figures import figures as tree_figures
from infra.bootstrap import System
from infra.kek import KekUnusable, KeyStoreUnfit
from infra.outage import unavailable_on_outage
from infra.postgres.keystore import key_ring_at
from infra.postgres.migrate import needs_migration
from infra.postgres.views.form import FORMS
from infra.postgres.views.standing import Standing, tables, unreadable
from infra.postgres.views.tables import VIEWS
from infra.projector import KAFKA, LOG
from infra.scheduling import JobState
from infra.scheduling import states as job_states
from infra.webhooks.endpoints import EndpointState
from services.ports import KeyLost, Unavailable

VIEWS_BEHIND_POSITIONS_MAX = 100_000

LAST: LiteralString = "SELECT coalesce(max(position), 0) FROM log.events"
RELAYED: LiteralString = "SELECT place, position, fault FROM log.relay ORDER BY place"
# Places that were left do not count: their faults stay with them.
RELAY_FAULT: LiteralString = "SELECT fault FROM log.relay ORDER BY updated_at DESC LIMIT 1"
TRACKED: LiteralString = "SELECT view, position FROM views.tracking WHERE source = %s ORDER BY view"
RECORDS: LiteralString = """
SELECT 'customers', count(*) FROM directory.customers UNION ALL
SELECT 'leads', count(*) FROM pipeline.leads UNION ALL
SELECT 'members', count(*) FROM directory.members UNION ALL
SELECT 'tickets', count(*) FROM tickets.tickets
"""


class Follower(BaseModel):
    """Somebody who follows the log, and how far behind its end: in positions."""

    name: str
    position: int
    lag: int


class Relayed(Follower):
    """A Kafka cluster with its topics, and how far it has the log."""

    fault: str | None = Field(description="Why nothing is published there; a person has to decide.")


class WebhookFigures(BaseModel):
    """A webhook, by id: never by its address."""

    id: UUID
    state: EndpointState
    lag: int = Field(description="How far behind the end of the log: in positions.")
    blocked: int = Field(description="Records whose events wait.")


class PoolUse(BaseModel):
    """Connections to PostgreSQL of this process."""

    size: int
    idle: int
    waiting: int = Field(description="Requests that wait for a connection.")


class Status(BaseModel):
    """A moment's look at one process and its database. Counts and states only."""

    namespace: str
    position: int = Field(description="The log's last position.")
    fence_wait_seconds: float = Field(description="How long readers wait for slower transactions.")
    relay: list[Relayed] = Field(description="One for each Kafka cluster and topics published to.")
    webhooks: list[WebhookFigures] = Field(description="Those that are not removed.")
    views: list[Follower]
    views_follow: str = Field(description="What views are fed from: log or kafka.")
    views_standing: dict[str, Standing] = Field(
        description="live; ahead: being built, of an earlier release; behind: a later release has built it; "
        "damaged: being built anew."
    )
    dead_letters: dict[str, int] = Field(description="Parked records, by view; those without any left out.")
    records: dict[str, int] = Field(description="Records by kind, as the views have them.")
    keys: dict[str, dict[str, int]] = Field(description="Data keys by category and state.")
    trees: list[TreeFigures] = Field(description="The audit trees.")
    pool: PoolUse
    privacy_requests: dict[str, int] = Field(description="Requests of people: open, and of those overdue.")
    jobs: list[JobState] = Field(description="What the scheduler does, and when it last did.")


async def status(system: System) -> Status:
    """Look now. Raises `Unavailable`."""
    source = _source(system)
    tracked = await _rows(system, TRACKED, source)
    relayed = await _rows(system, RELAYED)
    # Last, so that no follower seems to be ahead of the log.
    [(position,)] = await _rows(system, LAST)
    keys: dict[str, dict[str, int]] = {}
    for (category, state), number in (await system.ring.counts()).items():
        keys.setdefault(category.value, {})[state.value] = number
    return Status(
        namespace=system.settings.namespace,
        position=position,
        fence_wait_seconds=round(system.reader.fence_wait_seconds, 6),
        relay=[
            Relayed(fault=fault, **_follower(position, place, reached).model_dump())
            for place, reached, fault in relayed
        ],
        webhooks=[
            WebhookFigures(
                id=it.endpoint.id, state=it.endpoint.state, lag=it.lag, blocked=it.progress.blocked
            )
            for it in await system.webhook_desk.all()
        ],
        views=[_follower(position, *it) for it in tracked],
        views_follow=source,
        views_standing=dict(await _standings(system)),
        dead_letters=dict(await system.dead_letters.counts()),
        records=dict(await _rows(system, RECORDS)),
        keys=keys,
        trees=await tree_figures(system.pool),
        pool=_pool_use(system),
        privacy_requests=asdict(await system.views.privacy.figures(at=system.clock.now())),
        jobs=await job_states(system.pool),
    )


async def checks(system: System) -> Mapping[str, str | None]:
    """What must be well for the system to serve: None where it is, else what is wrong, without details."""
    try:
        # Not the whole status: a probe comes often, and counting keys and records grows with them.
        tracked = await _rows(system, TRACKED, _source(system))
        [(position,)] = await _rows(system, LAST)
        with unavailable_on_outage():
            behind = await needs_migration(system.database.url)
        key_store_fault = await _key_store_fault(system)
        fault_of_trees = await tree_fault(system.pool)
        strange = await _unreadable(system)
    except Unavailable:
        return {"database": "cannot be reached"}
    lag = max((_follower(position, *it).lag for it in tracked), default=0)
    late = f"{lag} positions behind" if lag > VIEWS_BEHIND_POSITIONS_MAX else None
    return {
        "database": None,
        "migrations": "not up to date" if behind else None,
        "keys": key_store_fault,
        "ledger": system.guard.fault,
        "trees": fault_of_trees,
        "views": late if not strange else f"of another release's form: {', '.join(strange)}",
    }


async def warnings(system: System) -> Mapping[str, str]:
    """What somebody should look at though the system serves: nobody is helped by taking it out for that."""
    try:
        counts = await system.dead_letters.counts()
        standings = await _standings(system)
        relay_faults = await _rows(system, RELAY_FAULT) if system.settings.kafka is not None else []
    except Unavailable:
        return {}
    parked = ", ".join(f"{number} from {view}" for view, number in counts.items())
    not_live = ", ".join(f"{view}: {it}" for view, it in standings.items() if it is not Standing.LIVE)
    found = {
        "dead_letters": f"records parked: {parked}" if parked else "",
        "views": not_live,
        "relay": "".join(fault or "" for (fault,) in relay_faults),
    }
    return {name: words for name, words in found.items() if words}


async def _standings(system: System) -> Mapping[str, Standing]:
    with unavailable_on_outage():
        async with system.pool.connection() as connection:
            return await system.standings.of(connection, VIEWS)


async def _unreadable(system: System) -> list[str]:
    """Views that this release cannot read, as another one's reads. What is damaged mends itself."""
    standings = await _standings(system)
    forms = {
        view: form for view, form in FORMS.items() if standings[view] in (Standing.AHEAD, Standing.BEHIND)
    }
    if not forms:
        return []
    with unavailable_on_outage():
        async with system.pool.connection() as connection:
            return unreadable(forms, await tables(connection, forms))


async def _key_store_fault(system: System) -> str | None:
    """Whether this system could start again: the store is whole, and its KEK where it is said to be."""
    try:
        await key_ring_at(system.pool, system.keks, namespace=system.settings.namespace)
        await system.ring.look()
    except (KekUnusable, KeyStoreUnfit, KeyLost, Unavailable) as error:
        return type(error).__name__
    return None


def _source(system: System) -> str:
    return LOG if system.settings.kafka is None else KAFKA


def _follower(last: int, name: str, position: int) -> Follower:
    return Follower(name=name, position=position, lag=max(0, last - position))


def _pool_use(system: System) -> PoolUse:
    found = system.pool.get_stats()
    return PoolUse(
        size=found.get("pool_size", 0),
        idle=found.get("pool_available", 0),
        waiting=found.get("requests_waiting", 0),
    )


async def _rows(system: System, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    with unavailable_on_outage():
        async with system.pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()
