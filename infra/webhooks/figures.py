"""What `/metrics` says of webhooks: by id, never by address."""

from prometheus_client import CollectorRegistry, Gauge

from infra.webhooks.desk import WebhookDesk
from infra.webhooks.endpoints import EndpointState


async def measure(registry: CollectorRegistry, desk: WebhookDesk) -> None:
    """Look now. Raises `Unavailable`."""
    seen = await desk.all()
    states = Gauge("lethe_webhooks", "Webhooks.", ["state"], registry=registry)
    for state in (EndpointState.ACTIVE, EndpointState.PARKED):
        states.labels(state).set(sum(it.endpoint.state is state for it in seen))
    lag = Gauge(
        "lethe_webhook_lag_positions", "How far behind the log it is.", ["webhook"], registry=registry
    )
    blocked = Gauge("lethe_webhook_blocked", "Records whose events wait.", ["webhook"], registry=registry)
    for it in seen:
        lag.labels(str(it.endpoint.id)).set(it.lag)
        blocked.labels(str(it.endpoint.id)).set(it.progress.blocked)
