"""The work that goes on behind the doors: projections, reactions, erasures, the schedule, the relay."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from infra.audit.lease import AdvisoryLease
from infra.audit.outbox import PostgresOutbox
from infra.audit.trees import sequencer_of
from infra.backup.archive import recipients_of
from infra.backup.shelf import backing_up, pruning_backups
from infra.bootstrap import CannotStart, System
from infra.postgres.accesswatch import pruning, watching
from infra.postgres.relay_lease import PostgresRelayLease
from infra.postgres.staterows import PostgresStateRows
from infra.projector import KAFKA, Projector, following_log
from infra.reminding import attending
from infra.rightsjobs import expiring, retaining
from infra.rotation import rotating_every
from infra.scheduling import Job, Scheduler
from infra.stateforms import STATES
from infra.supervision import repeat, supervise
from infra.undecoded import TolerantDecoder
from infra.webhooks.deliverer import Deliverer
from infra.webhooks.lease import GroupLease
from services.ports import EventSource

if TYPE_CHECKING:
    from infra.kafka.relay import Relay
    from infra.statefeed import StateFeed

RESUME_EVERY_SECONDS = 5.0
SEGMENTS_EVERY_SECONDS = 1.0
STATE_FEED_LOCK = 0x6C65_7468_6507

Work = Callable[[asyncio.Event], Awaitable[None]]


def projector_of(system: System) -> Projector:
    """The views' projector: a member of the consumer group where Kafka is set, else the log's follower."""
    if system.settings.kafka is None:
        return Projector(
            lambda: following_log(system.pool, system.reader, system.mapper, system.view_store),
            system.view_store,
            check=system.keeper.check,
            retry=system.dead_letters.retry_views,
        )
    return Projector(
        lambda: following_kafka(system),
        system.view_store,
        name=KAFKA,
        check=system.keeper.ready,
        retry=system.dead_letters.retry_views,
    )


@asynccontextmanager
async def following_kafka(system: System) -> AsyncIterator[EventSource]:
    """This process's share of the namespace's topics."""
    # Here, as below: loading kafka-python is a tenth of the start, and most systems have no Kafka.
    from infra.kafka.consumer import KafkaSource
    from infra.kafka.record import topics

    assert system.settings.kafka is not None  # noqa: S101 - asked before
    namespace = system.settings.namespace
    source = KafkaSource(
        system.settings.kafka, f"{namespace}.views", topics(namespace), TolerantDecoder(system.mapper)
    )
    try:
        yield source
    finally:
        await source.close()


def relay_of(system: System) -> "Relay":
    """The relay to the Kafka of the settings."""
    from infra.kafka.relay import Relay

    assert system.settings.kafka is not None  # noqa: S101 - asked before
    return Relay(
        system.reader,
        system.settings.kafka,
        system.settings.namespace,
        PostgresRelayLease(system.database.url),
    )


def sequencing(system: System) -> dict[str, Work]:
    """What makes the audit trees grow, and signs them: one works, others stand by."""
    return {
        f"tree of {log}": sequencer_of(
            tree,
            system.database.url,
            system.pool,
            system.reader,
            system.settings.checkpoint_folder,
            seconds=system.settings.checkpoint_seconds,
        ).run
        for log, tree in system.trees.items()
    }


def relaying(system: System) -> dict[str, Work]:
    """What a relay process does."""
    from infra.kafka.checkpoints import CheckpointRelay

    assert system.settings.kafka is not None  # noqa: S101 - asked before
    outbox = PostgresOutbox(system.database.url)
    checkpoints = CheckpointRelay(outbox, system.settings.kafka, system.settings.namespace)
    work: dict[str, Work] = {"relay": relay_of(system).run, "checkpoints": checkpoints.run}
    if system.settings.state_topics is not None:
        work["states"] = states_of(system, system.settings.kafka, system.settings.state_topics.split(",")).run
    return work


def states_of(system: System, kafka: str, views: Sequence[str]) -> "StateFeed":
    """The feed of these views' states. Raises `CannotStart` where there is no such view."""
    from infra.statefeed import StateFeed

    if unknown := sorted(set(views) - STATES.keys()):
        raise CannotStart(f"LETHE_STATE_TOPICS: {', '.join(unknown)}: there are {', '.join(sorted(STATES))}")
    return StateFeed(
        AdvisoryLease(system.database.url, "state feed", STATE_FEED_LOCK),
        system.reader,
        system.mapper,
        PostgresStateRows(system.pool),
        system.ring,
        kafka,
        system.settings.namespace,
        views,
    )


def project_and_react(system: System) -> dict[str, Work]:
    """What a projector process does."""
    return {
        "projector": projector_of(system).run,
        "views": system.keeper.run,
        "reactions": system.reacting.run,
        "segments": lambda stop: repeat(SEGMENTS_EVERY_SECONDS, system.segmenter.advance, stop),
        "ledger": system.guard.run,
        "erasures": lambda stop: repeat(RESUME_EVERY_SECONDS, system.erasures.resume, stop),
        **sequencing(system),
    }


def schedule_jobs(system: System) -> dict[str, Job]:
    """What comes back, by name. Each job is declared beside what it does."""
    jobs = {
        "privacy-requests": attending(system.views.privacy, system.privacy_requests),
        "consents": expiring(system.views.rights, system.consents),
        "retention": retaining(system.retention),
        "unusual-access": watching(system.watch),
        "access-retention": pruning(
            system.accesses.store, system.watch, system.settings.access_retention_days
        ),
    }
    if (days := system.settings.kek_epoch_days) > 0:
        jobs["key-rotation"] = rotating_every(days, system.rotation)
    if (folder := system.settings.backups) is not None:
        if (recipient := system.settings.backup_recipient) is not None:
            jobs["backup"] = backing_up(system.shelf, folder, recipients_of(recipient))
        jobs["backup-retention"] = pruning_backups(system.shelf, folder, system.settings.backup_keep_days)
    return jobs


def scheduled(system: System) -> dict[str, Work]:
    """What a scheduler process does."""
    scheduler = Scheduler(system.pool, system.database.url, system.clock, schedule_jobs(system))
    return {"schedule": scheduler.run, "webhooks": deliverer_of(system).run}


def deliverer_of(system: System) -> Deliverer:
    """This process as a member of the group that sends webhooks."""
    return Deliverer(
        GroupLease(system.database.url),
        system.webhook_store,
        system.webhooks,
        system.reader,
        system.reach,
        system.clock,
        system.settings.namespace,
    )


def everything(system: System) -> dict[str, Work]:
    """All of it, for one process that does the whole job."""
    work = project_and_react(system) | scheduled(system)
    if system.settings.kafka is not None:
        work |= relaying(system)
    return work


@asynccontextmanager
async def going_on(work: dict[str, Work], stop: asyncio.Event) -> AsyncIterator[None]:
    """The work, supervised, while the block runs; then `stop` is set and it ends in good order."""
    async with asyncio.TaskGroup() as group:
        for name, run in work.items():
            group.create_task(supervise(name, lambda run=run: run(stop), stop), name=name)  # type: ignore[misc]
        try:
            yield
        finally:
            stop.set()
