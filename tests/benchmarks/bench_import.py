"""How fast customers are imported from a CSV file, against the stock library saving them one by one."""

import csv
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from rich.console import Console
from rich.table import Table

from infra.bootstrap import open_system
from infra.eventloop import run
from infra.importing.importer import Importer
from infra.importing.known import KnownCommands
from infra.importing.mapping import load_mapping
from infra.postgres.embedded import EmbeddedPostgres
from infra.settings import load

ROWS: Final = int(os.environ.get("BENCH_ROWS", "50000"))
STOCK_ROWS: Final = 1_000
ROUNDS: Final = 5
FLOOR: Final = 10_000
COLUMNS: Final = ("key", "name", "email", "phone", "born_on", "address", "lawful_basis", "purpose")


class StockCustomer(Aggregate):
    """The same person as the library's own idiom has it: nothing validated, nothing sealed."""

    @event("Registered")
    def __init__(self, name: str, email: str, phone: str, born_on: str, address: str) -> None:
        self.name = name
        self.email = email
        self.phone = phone
        self.born_on = born_on
        self.address = address


def people(file: Path, rows: int, seed: int) -> None:
    """A file of people who share given names, family names and mail domains, as people do."""
    chance = random.Random(seed)
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for number in range(rows):
            given, family = f"Given{chance.randrange(3_000)}", f"Family{chance.randrange(9_000)}"
            mail = f"{given}.{family}.{number}@example{chance.randrange(200)}.com"
            phone = f"+44207{chance.randrange(10**6, 10**7)}"
            born = f"{chance.randrange(1930, 2006)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
            address = f"{chance.randrange(300)} High Street\nTown {chance.randrange(900)}"
            writer.writerow(
                [f"{seed}-{number}", f"{given} {family}", mail, phone, born, address, "contract", "sales"]
            )


def ours(url: str, folder: Path, file: Path) -> tuple[float, float]:
    """Rows a second: imported, and once more as a repeat that adds nothing."""

    async def both() -> tuple[float, float]:
        async with open_system(load(database_url=url, data=folder)) as system:
            importer = Importer(system.application, system.blind, KnownCommands(system.pool))
            first = await importer.run(file, load_mapping("customers"), rejects=folder / "rejects")
            again = await importer.run(file, load_mapping("customers"), rejects=folder / "rejects")
            assert first.added == again.unchanged == {"customers": first.rows}
            return first.rows / first.seconds, again.rows / again.seconds

    return run(both())


def stock(url: str, file: Path) -> float:
    """Rows a second of the stock library as it comes, one customer after the other."""
    parts = urlsplit(url)
    application = Application[UUID](
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path.lstrip("/"),
            "POSTGRES_HOST": parse_qs(parts.query)["host"][0],
            "POSTGRES_USER": parts.username or "postgres",
            "POSTGRES_PASSWORD": "unused",
            "CREATE_TABLE": "y",
        }
    )
    with file.open(newline="") as lines:
        rows = [row for _, row in zip(range(STOCK_ROWS), csv.DictReader(lines), strict=False)]
    wanted = ("name", "email", "phone", "born_on", "address")
    started = time.perf_counter()
    for row in rows:
        application.save(StockCustomer(**{name: row[name] for name in wanted}))
    seconds = time.perf_counter() - started
    application.close()
    return len(rows) / seconds


def main() -> None:
    rates: dict[str, list[float]] = {"stock": [], "ours": [], "again": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "postgres") as server:
            for number in range(ROUNDS):
                file = folder / f"{uuid4()}.csv"
                people(file, ROWS, number)
                rates["stock"].append(stock(server.url, file))
                first, again = ours(server.url, folder, file)
                rates["ours"].append(first)
                rates["again"].append(again)
    medians = {name: statistics.median(each) for name, each in rates.items()}
    table = Table(title=f"import of {ROWS:,} customers from CSV, medians of {ROUNDS} rounds")
    for heading in ("what", "rows/s", "rounds", "ratio to stock"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    words = {
        "stock": "stock eventsourcing, one save each, nothing validated or sealed",
        "ours": "lethe import: validated, two keys minted and two boxes sealed each",
        "again": "the same file again: nothing to add",
    }
    for name, text in words.items():
        each = " ".join(f"{it:,.0f}" for it in rates[name])
        table.add_row(text, f"{medians[name]:,.0f}", each, f"{medians[name] / medians['stock']:.1f}")
    Console(width=120).print(table)
    reached = "reached" if medians["ours"] >= FLOOR else "NOT REACHED"
    print(f"import {medians['ours']:,.0f} rows/s, goal {FLOOR:,}: {reached}")


if __name__ == "__main__":
    main()
