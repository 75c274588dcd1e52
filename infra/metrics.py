"""How the system is doing, for Prometheus."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from infra.audit.figures import TreeFigures
from infra.bootstrap import System
from infra.postgres.views.standing import Standing
from infra.postgres.views.tables import VIEWS
from infra.status import Status, WebhookFigures, status
from infra.webhooks.endpoints import EndpointState


async def metrics(system: System) -> bytes:
    """What `lethe status` says, and more, in Prometheus' text format. Raises `Unavailable`."""
    found = await status(system)
    registry = CollectorRegistry()
    plain = {
        "lethe_log_position": ("The log's last position.", found.position),
        "lethe_fence_wait_seconds": (
            "How long readers wait for slower transactions.",
            found.fence_wait_seconds,
        ),
        "lethe_pool_connections": ("Connections to PostgreSQL.", found.pool.size),
        "lethe_pool_idle_connections": ("Connections that nobody uses.", found.pool.idle),
        "lethe_pool_waiting_requests": ("Requests that wait for a connection.", found.pool.waiting),
    }
    for name, (text, value) in plain.items():
        Gauge(name, text, registry=registry).set(value)
    for what, followers in (("relay", found.relay), ("view", found.views)):
        position = Gauge(f"lethe_{what}_position", f"How far the {what} has come.", [what], registry=registry)
        lag = Gauge(
            f"lethe_{what}_lag_positions", f"How far behind the log the {what} is.", [what], registry=registry
        )
        for follower in followers:
            position.labels(follower.name).set(follower.position)
            lag.labels(follower.name).set(follower.lag)
    _views(registry, found)
    relay_fault = Gauge(
        "lethe_relay_fault", "1 where nothing is published: /readyz says why.", ["relay"], registry=registry
    )
    for relayed in found.relay:
        relay_fault.labels(relayed.name).set(relayed.fault is not None)
    records = Gauge("lethe_records", "Records, as the views have them.", ["kind"], registry=registry)
    for kind, number in found.records.items():
        records.labels(kind).set(number)
    keys = Gauge("lethe_keys", "Data keys.", ["category", "state"], registry=registry)
    for category, states in found.keys.items():
        for state, number in states.items():
            keys.labels(category, state).set(number)
    _trees(registry, found.trees, system.clock.now())
    unusual = Gauge("lethe_unusual_accesses", "Found in the last 24 hours.", ["measure"], registry=registry)
    for measure, number in (await system.watch.lately(system.clock.now())).items():
        unusual.labels(measure).set(number)
    Gauge("lethe_accesses_waiting", "Accesses noted and not yet stored.", registry=registry).set(
        system.accesses.waiting
    )
    requests = Gauge("lethe_privacy_requests", "Unanswered requests of people.", ["state"], registry=registry)
    for state, number in found.privacy_requests.items():
        requests.labels(state).set(number)
    failed = Gauge("lethe_job_failed", "1 where the job's last run failed.", ["job"], registry=registry)
    age = Gauge("lethe_job_success_age_seconds", "Since the job last succeeded.", ["job"], registry=registry)
    now = system.clock.now()
    for job in found.jobs:
        failed.labels(job.name).set(job.state == "failed")
        if job.succeeded_at is not None:
            age.labels(job.name).set((now - job.succeeded_at).total_seconds())
    _webhooks(registry, found.webhooks)
    return generate_latest(registry)


def _views(registry: CollectorRegistry, found: Status) -> None:
    parked = Gauge("lethe_dead_letters", "Records that a view waits with.", ["view"], registry=registry)
    for view, number in (dict.fromkeys(VIEWS, 0) | found.dead_letters).items():
        parked.labels(view).set(number)
    standing = Gauge("lethe_view_live", "0: it is to be built anew.", ["view"], registry=registry)
    for view, it in found.views_standing.items():
        standing.labels(view).set(it is Standing.LIVE)


def _trees(registry: CollectorRegistry, trees: Sequence[TreeFigures], now: datetime) -> None:
    size = Gauge("lethe_tree_size", "Leaves in the audit tree.", ["tree"], registry=registry)
    lag = Gauge("lethe_tree_lag_positions", "How far behind its log it is.", ["tree"], registry=registry)
    fault = Gauge(
        "lethe_tree_fault", "1 where a tree is not signed: /readyz says why.", ["tree"], registry=registry
    )
    signed = Gauge("lethe_checkpoint_size", "Leaves that are signed.", ["tree"], registry=registry)
    age = Gauge("lethe_checkpoint_age_seconds", "Since the last was signed.", ["tree"], registry=registry)
    for it in trees:
        size.labels(it.log).set(it.size)
        lag.labels(it.log).set(it.lag)
        fault.labels(it.log).set(it.fault is not None)
        signed.labels(it.log).set(it.signed_size)
        if it.signed_at is not None:
            age.labels(it.log).set((now - it.signed_at).total_seconds())


def _webhooks(registry: CollectorRegistry, found: Sequence[WebhookFigures]) -> None:
    states = Gauge("lethe_webhooks", "Webhooks.", ["state"], registry=registry)
    for state in (EndpointState.ACTIVE, EndpointState.PARKED):
        states.labels(state).set(sum(it.state is state for it in found))
    lag = Gauge(
        "lethe_webhook_lag_positions", "How far behind the log it is.", ["webhook"], registry=registry
    )
    blocked = Gauge("lethe_webhook_blocked", "Records whose events wait.", ["webhook"], registry=registry)
    for it in found:
        lag.labels(str(it.id)).set(it.lag)
        blocked.labels(str(it.id)).set(it.blocked)
