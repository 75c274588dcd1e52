"""How fast single events are appended by 32 concurrent writers, against the stock library's recorder."""

import asyncio
import os
import statistics
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
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate
from services.ports import Commit
from tests.eventlogs import NAMESPACE, START, Person, PostgresLog, append_all, postgres_log, registrations

EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "12000"))
STOCK_EVENTS: Final = EVENTS // 6
WRITERS: Final = 32
ROUNDS: Final = 3
FLOOR: Final = 5.0


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


async def ours(log: PostgresLog, commits: list[Commit]) -> float:
    """Events a second, each acknowledged after its COMMIT, with the answer to its command beside it."""
    started = time.perf_counter()
    await append_all(log, commits, writers=WRITERS)
    return len(commits) / (time.perf_counter() - started)


def stock(recorder: ApplicationRecorder, events: list[StoredEvent]) -> float:
    """The same stored bytes through the library's recorder as it comes, in as many threads."""
    with ThreadPoolExecutor(WRITERS) as threads:
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


async def rounds(database_url: str, folder: Path) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"stock": [], "ours": [], "sealed": []}
    recorder = stock_recorder(database_url)
    async with postgres_log(database_url, folder, size=2) as log:
        await ours(log, public_facts(500))  # warm: connections, prepared statements
        await asyncio.to_thread(stock, recorder, same_bytes(log, public_facts(100)))
        for _ in range(ROUNDS):
            events = same_bytes(log, public_facts(STOCK_EVENTS))
            rates["stock"].append(await asyncio.to_thread(stock, recorder, events))
            rates["ours"].append(await ours(log, public_facts(EVENTS)))
            rates["sealed"].append(await ours(log, registrations(EVENTS // 2)))
    return rates


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            asyncio.run(migrate(server.url, namespace=NAMESPACE))
            rates = asyncio.run(rounds(server.url, Path(folder)))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    table = Table(title=f"append: {WRITERS} writers, one event each, medians of {ROUNDS} rounds")
    for heading in ("what", "events/s", "rounds", "ratio to stock"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    rows = {
        "stock": "eventsourcing's recorder as it comes, 32 threads",
        "ours": "ours, the same bytes, with the command's answer",
        "sealed": "ours, with two keys minted and two boxes sealed each",
    }
    for name, words in rows.items():
        each = " ".join(f"{it:,.0f}" for it in rates[name])
        table.add_row(words, f"{medians[name]:,.0f}", each, f"{medians[name] / medians['stock']:.1f}")
    Console(width=120).print(table)
    ratio = medians["ours"] / medians["stock"]
    print(f"append ratio {ratio:.1f}, goal {FLOOR:.0f}: {'reached' if ratio >= FLOOR else 'NOT REACHED'}")


if __name__ == "__main__":
    main()
