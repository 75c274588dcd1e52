"""The relay, from PostgreSQL to acknowledged by Kafka, against a bare producer of the same bytes."""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Self
from uuid import uuid4

from kafka import KafkaProducer
from rich.console import Console
from rich.table import Table

from infra.eventstore.reader import FencedReader
from infra.kafka.broker import LocalBroker
from infra.kafka.publisher import SETTINGS
from infra.kafka.record import to_record, topics
from infra.kafka.relay import Relay
from infra.kafka.topics import ensure_topics
from infra.postgres.database import open_pool
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from infra.postgres.relay_lease import PostgresRelayLease
from tests.streams import fill, logged

EVENTS = int(os.environ.get("LETHE_BENCH_EVENTS", "30000"))
ROUNDS = 5
GOAL = 0.9


def main() -> None:
    """Alternate the two, and print the medians and their ratio."""
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
        LocalBroker(Path(folder) / "broker") as broker,
    ):
        asyncio.run(migrate(postgres.url, namespace="main"))
        fill(postgres.url, EVENTS)
        bare, relayed = [], []
        for _ in range(ROUNDS):
            bare.append(produce(postgres.url, broker.address))
            relayed.append(asyncio.run(relay(postgres.url, broker.address)))
    show(bare, relayed)


class Took(NamedTuple):
    """Seconds by the clock, and of this process's CPU."""

    seconds: float
    cpu: float

    @classmethod
    def since(cls, clock: float, cpu: float) -> Self:
        return cls(time.perf_counter() - clock, time.process_time() - cpu)


def produce(url: str, address: str) -> Took:
    """What kafka-python's producer takes for the same records, made beforehand, at its best settings."""
    namespace = f"bare-{uuid4().hex}"
    records = [to_record(it, namespace) for it in logged(url)]
    ensure_topics(address, topics(namespace))
    producer = KafkaProducer(bootstrap_servers=address, **SETTINGS)
    for name in topics(namespace):
        producer.partitions_for(name)
    begun = time.perf_counter(), time.process_time()
    futures = [producer.send(it.topic, it.value, it.key, it.headers) for it in records]
    producer.flush()
    took = Took.since(*begun)
    assert all(it.succeeded() for it in futures)
    producer.close()
    return took


async def relay(url: str, address: str) -> Took:
    """What the relay takes, from when it has the lease until the last is acknowledged and noted."""
    pool = await open_pool(url, size=2)
    one = Relay(FencedReader(pool), address, f"relay-{uuid4().hex}", PostgresRelayLease(url))
    stop = asyncio.Event()
    task = asyncio.create_task(one.run(stop))
    while not one.leading:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.001)
    begun = time.perf_counter(), time.process_time()
    while one.acknowledged < EVENTS:  # noqa: ASYNC110 - nor for this
        await asyncio.sleep(0.002)
    took = Took.since(*begun)
    stop.set()
    await task
    await pool.close()
    return took


def show(bare: list[Took], relayed: list[Took]) -> None:
    """The table."""
    ratio = statistics.median(it.seconds for it in bare) / statistics.median(it.seconds for it in relayed)
    table = Table(title=f"Relay: {EVENTS:,} events of about 900 bytes, {ROUNDS} rounds")
    for column in ("", "median /s", "from", "to", "CPU µs an event"):
        table.add_column(column, justify="right")
    for name, found in (("bare kafka-python producer", bare), ("relay from PostgreSQL", relayed)):
        rates = [EVENTS / it.seconds for it in found]
        cpu = statistics.median(it.cpu for it in found) / EVENTS * 1e6
        figures = (statistics.median(rates), min(rates), max(rates), cpu)
        table.add_row(name, *(f"{it:,.0f}" for it in figures))
    table.add_row("ratio", f"{ratio:.2f}", "goal", f"{GOAL:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
