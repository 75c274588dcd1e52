"""How fast single events are appended by 32 and 128 concurrent writers.

Against the stock library's recorder with as many threads, and against pgbench with as many clients that
insert rows like ours (the event and the answer to its command, by the same statement), each durable when
answered.
"""

import asyncio
import os
import re
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment
from rich.console import Console
from rich.table import Table

from domain.lead.events import LeadQualified
from domain.values import Money
from infra.eventloop import run
from infra.postgres.embedded import PROGRAMS, EmbeddedPostgres
from infra.postgres.migrate import migrate
from services.ports import Commit
from tests.eventlogs import NAMESPACE, START, Person, PostgresLog, append_all, postgres_log, registrations

EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "12000"))
STOCK_EVENTS: Final = EVENTS // 6
DIGEST: Final = b"a digest"
WRITERS: Final = (32, 128)
ROUNDS: Final = 5
FLOOR: Final = 10.0
PGBENCH_FLOOR: Final = 0.8
INSERT: Final = """
WITH stored AS (
    INSERT INTO log.events (originator_id, originator_version, topic, state)
    VALUES (gen_random_uuid(), 1, '{topic}', '\\x{state}'::bytea)
    RETURNING originator_id, originator_version, position
)
INSERT INTO log.commands (command_id, request_digest, originator_id, version, position, subject_id)
SELECT gen_random_uuid(), '\\x{digest}'::bytea, originator_id, originator_version, position, gen_random_uuid()
FROM stored RETURNING command_id, position;
"""


def public_facts(count: int) -> list[Commit]:
    """Commits of one event each, with nothing to seal: what a recorder alone has to do."""
    value = Money.model_validate({"amount": "1234.50", "currency": "EUR"})
    return [
        it.commit(
            LeadQualified(
                originator_id=it.id,
                originator_version=1,
                timestamp=START,
                subject_id=it.subject_id,
                value=value,
            )
        )
        for it in (Person() for _ in range(count))
    ]


async def ours(log: PostgresLog, commits: list[Commit], writers: int) -> float:
    """Events a second, each acknowledged after its COMMIT, with the answer to its command beside it."""
    started = time.perf_counter()
    await append_all(log, commits, writers=writers)
    return len(commits) / (time.perf_counter() - started)


def stock(recorder: ApplicationRecorder, events: list[StoredEvent], writers: int) -> float:
    """The same stored bytes through the library's recorder as it comes, in as many threads."""
    with ThreadPoolExecutor(writers) as threads:
        started = time.perf_counter()
        for _ in threads.map(recorder.insert_events, [[event] for event in events]):
            pass
        return len(events) / (time.perf_counter() - started)


def stock_recorder(database_url: str) -> ApplicationRecorder:
    url = urlsplit(database_url)
    settings = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path.lstrip("/"),
        "POSTGRES_HOST": parse_qs(url.query)["host"][0],
        "POSTGRES_USER": url.username or "postgres",
        "POSTGRES_PASSWORD": "unused",
    }
    return InfrastructureFactory.construct(Environment("bench", settings)).application_recorder()


def same_bytes(log: PostgresLog, commits: list[Commit]) -> list[StoredEvent]:
    return [
        log.mapper.to_stored_event(recorded)
        for commit in commits
        for recorded in log.mapper.envelop(commit, START)
    ]


def pgbench(server: EmbeddedPostgres, folder: Path, event: StoredEvent, clients: int) -> float:
    """Rows a second of PostgreSQL's own benchmark: a transaction a row, one a client at a time."""
    script = folder / "insert.sql"
    script.write_text(
        INSERT.format(topic=event.topic, state=event.state.hex(), digest=DIGEST.hex()).replace("\n", " ")
    )
    ran = subprocess.run(
        [
            str(PROGRAMS / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--file={script}",
            f"--client={clients}", f"--jobs={min(clients, os.cpu_count() or 1)}",
            f"--transactions={EVENTS // 2 // clients}", server.url,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(re.findall(r"tps = ([0-9.]+)", ran.stdout)[0])


async def rounds(server: EmbeddedPostgres, folder: Path, writers: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"stock": [], "pgbench": [], "ours": [], "sealed": []}
    recorder = stock_recorder(server.url)
    async with postgres_log(server.url, folder, size=2) as log:
        await ours(log, public_facts(500), writers)  # warm: connections, prepared statements
        await asyncio.to_thread(stock, recorder, same_bytes(log, public_facts(100)), writers)
        for _ in range(ROUNDS):
            events = same_bytes(log, public_facts(STOCK_EVENTS))
            rates["stock"].append(await asyncio.to_thread(stock, recorder, events, writers))
            rates["pgbench"].append(await asyncio.to_thread(pgbench, server, folder, events[0], writers))
            rates["ours"].append(await ours(log, public_facts(EVENTS), writers))
            rates["sealed"].append(await ours(log, registrations(EVENTS // 2), writers))
    return rates


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            asyncio.run(migrate(server.url, namespace=NAMESPACE))
            for writers in WRITERS:
                show(run(rounds(server, Path(folder), writers)), writers)


def show(rates: dict[str, list[float]], writers: int) -> None:
    medians = {name: statistics.median(each) for name, each in rates.items()}
    table = Table(title=f"append: {writers} writers, one event each, medians of {ROUNDS} rounds")
    for heading in ("what", "events/s", "rounds", "ratio to stock", "to pgbench"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    rows = {
        "stock": f"eventsourcing's recorder as it comes, {writers} threads",
        "pgbench": f"pgbench, {writers} clients, rows like ours",
        "ours": "ours, the same bytes, with the command's answer",
        "sealed": "ours, with two keys minted and two boxes sealed each",
    }
    for name, words in rows.items():
        each = " ".join(f"{it:,.0f}" for it in rates[name])
        ratios = [f"{medians[name] / medians[peer]:.2f}" for peer in ("stock", "pgbench")]
        table.add_row(words, f"{medians[name]:,.0f}", each, *ratios)
    Console(width=140).print(table)
    for peer, floor in (("stock", FLOOR), ("pgbench", PGBENCH_FLOOR)):
        ratio = medians["ours"] / medians[peer]
        reached = "reached" if ratio >= floor else "NOT REACHED"
        print(f"append, {writers} writers: {ratio:.2f} times {peer}, goal {floor:g}: {reached}")


if __name__ == "__main__":
    main()
