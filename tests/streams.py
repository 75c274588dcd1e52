"""What the tests of the stream share: stored events, a log in a list, and what the topics hold."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import Notification
from kafka import KafkaConsumer, TopicPartition
from uuid_utils.compat import uuid7

from infra import json
from infra.kafka.record import from_record, topics

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
BOX = "q83vASNFZ4mrze8BI0VniQ" * 8
KINDS = ("lead.qualified", "customer.tagged", "ticket.progressed")


def stored(position: int, originator_id: UUID, version: int, topic: str = "lead.qualified") -> Notification:
    """A stored event of plausible size, as the log has it."""
    subject_id = str(originator_id)
    recorded_at = (START + timedelta(milliseconds=position)).isoformat().replace("+00:00", "Z")
    state = {
        "id": str(uuid7()),
        "recorded_at": recorded_at,
        "occurred_at": recorded_at,
        "actor": str(UUID(int=7)),
        "correlation_id": str(uuid4()),
        "command_id": str(uuid4()),
        "version": 1,
        "data": {"subject_id": subject_id, "value": {"amount": "12.50", "currency": "EUR"}},
        "sealed": [
            {
                "subject": subject_id,
                "category": "conversation",
                "key": "ab" * 32,
                "fields": ["reason"],
                "box": BOX,
            }
        ],
    }
    return Notification(originator_id, version, topic, json.encode(state), position)


def stored_events(
    count: int, *, records: int, first: int = 1, kinds: Sequence[str] = KINDS
) -> list[Notification]:
    """So many events, taking turns between `records` records of these kinds."""
    ids = [UUID(int=0x0196_0000_0000_7000_8000_0000_0000_0000 + it) for it in range(records)]
    return [
        stored(
            first + it, ids[it % records], 1 + (first - 1 + it) // records, kinds[it % records % len(kinds)]
        )
        for it in range(count)
    ]


class ListedLog:
    """A log in a list, read like the real one."""

    def __init__(self, events: Iterable[Notification] = ()) -> None:
        self.events = list(events)
        self._grown = asyncio.Event()

    def append(self, events: Iterable[Notification]) -> None:
        self.events.extend(events)
        self._grown.set()

    async def read(self, after: int, limit: int) -> Sequence[Notification]:
        # Positions are drawn from 1 without holes here.
        return self.events[after : after + limit]

    async def end(self) -> int:
        return len(self.events)

    async def wait(self, after: int, timeout: float) -> bool:
        if len(self.events) > after:
            return True
        self._grown.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._grown.wait()
        except TimeoutError:
            return False
        return True

    async def horizon(self) -> int:
        return len(self.events)


def fill(url: str, count: int) -> None:
    """Put so many events into the log in the database, three a record."""
    statement: LiteralString = (
        "COPY log.events (originator_id, originator_version, topic, state) FROM STDIN (FORMAT binary)"
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(["uuid", "int8", "text", "bytea"])
        for it in stored_events(count, records=count // 3):
            copy.write_row((it.originator_id, it.originator_version, it.topic, it.state))


class Writers:
    """Appends events to the log in the database without pause, in transactions that overtake each other."""

    def __init__(self, url: str, *, writers: int = 4, records: int = 20, pause_seconds: float = 0.01) -> None:
        self.url = url
        self.writers = writers
        self.records = records
        self.pause_seconds = pause_seconds
        self.appended = 0

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.gather(*(self._write(random.Random(it), stop) for it in range(self.writers)))

    async def _write(self, chance: random.Random, stop: asyncio.Event) -> None:
        versions: dict[UUID, int] = {uuid7(): 0 for _ in range(self.records)}
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            while not stop.is_set():
                async with connection.transaction():
                    for _ in range(chance.randint(1, 3)):
                        await self._insert(connection, versions, chance)
                        await asyncio.sleep(chance.random() * self.pause_seconds)

    async def _insert(
        self, connection: psycopg.AsyncConnection[Any], versions: dict[UUID, int], chance: random.Random
    ) -> None:
        events = []
        for _ in range(chance.randint(1, 20)):
            record = chance.choice(list(versions))
            versions[record] += 1
            events.append(stored(0, record, versions[record], KINDS[record.int % len(KINDS)]))
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO log.events (originator_id, originator_version, topic, state)"
                " VALUES (%s, %s, %s, %s)",
                [(it.originator_id, it.originator_version, it.topic, it.state) for it in events],
            )
        self.appended += len(events)


@asynccontextmanager
async def appending(
    url: str, *, writers: int = 2, pause_seconds: float = 0.05
) -> AsyncIterator[Callable[[], Awaitable[list[Notification]]]]:
    """Append meanwhile, not too fast to follow; what it gives ends that, and answers with the whole log."""
    stop = asyncio.Event()
    writing = asyncio.create_task(Writers(url, writers=writers, pause_seconds=pause_seconds).run(stop))

    async def ended() -> list[Notification]:
        stop.set()
        await writing
        return logged(url)

    try:
        yield ended
    finally:
        stop.set()
        await asyncio.gather(writing, return_exceptions=True)


def logged(url: str) -> list[Notification]:
    """The log in the database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT originator_id, originator_version, topic, state, position"
            " FROM log.events ORDER BY position"
        )
        return [Notification(*row) for row in rows]


def published(address: str, namespace: str, *, on: Sequence[str] | None = None) -> list[Notification]:
    """What the topics of a namespace, or these, hold: each partition in order, one after the other."""
    return [it for held in published_by_partition(address, namespace, on=on).values() for it in held]


def published_by_partition(
    address: str, namespace: str, *, on: Sequence[str] | None = None
) -> dict[TopicPartition, list[Notification]]:
    """What each partition of a namespace's topics, or of these, holds, in order."""
    consumer = KafkaConsumer(
        bootstrap_servers=address,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metrics_enabled=False,
    )
    try:
        partitions = [
            TopicPartition(name, it)
            for name in on or topics(namespace)
            for it in consumer.partitions_for_topic(name)
        ]
        consumer.assign(partitions)
        end = consumer.end_offsets(partitions)
        missing = {it: end[it] for it in partitions if end[it]}
        held: dict[TopicPartition, list[Notification]] = defaultdict(list)
        deadline = time.monotonic() + 60
        while missing:
            assert time.monotonic() < deadline, "the topics could not be read to their end"
            for partition, records in consumer.poll(timeout_ms=500, max_records=5_000).items():
                deadline = time.monotonic() + 60
                held[partition] += [from_record(it.value, it.headers) for it in records]
                if partition in missing and records[-1].offset + 1 >= missing[partition]:
                    del missing[partition]
        return {it: held[it] for it in partitions}
    finally:
        consumer.close()


def versions_by_record(events: Iterable[Notification]) -> dict[UUID | str, list[int]]:
    """The versions of each record, in the order given."""
    versions: dict[UUID | str, list[int]] = defaultdict(list)
    for it in events:
        versions[it.originator_id].append(it.originator_version)
    return versions


def assert_whole(delivered: Sequence[Notification], log: Sequence[Notification]) -> int:
    """De-duplicated by id, the topics are the log, each record in order; the number of repeats."""
    once = first_deliveries(delivered)
    assert sorted(once, key=lambda it: it.id) == sorted(log, key=lambda it: it.id)
    for versions in versions_by_record(once).values():
        assert versions == list(range(1, len(versions) + 1))
    return len(delivered) - len(once)


def first_deliveries(events: Iterable[Notification]) -> list[Notification]:
    """Each event where it was delivered first, as a subscriber that de-duplicates by id sees them."""
    seen: dict[str, Notification] = {}
    for it in events:
        seen.setdefault(json.decode(it.state)["id"], it)
    return list(seen.values())
