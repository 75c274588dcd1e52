"""The real incident file, imported: each ticket's timeline has the file's rows in their order."""

import csv
import gzip
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from infra.importing.drafts import Names
from tests.e2e.importing import count, imported, projected, system_on

pytestmark = pytest.mark.data


def times_by_ticket(path: Path) -> dict[str, list[datetime]]:
    found: dict[str, list[datetime]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            found[row["ticket"]].append(datetime.fromisoformat(row["changed_at"]))
    return found


def without_repeats(times: list[datetime]) -> list[datetime]:
    return [it for number, it in enumerate(times) if number == 0 or it != times[number - 1]]


def first_tickets(path: Path, number: int, folder: Path) -> Path:
    """The file's rows of its first so many tickets."""
    short = folder / path.name
    with gzip.open(path, "rt", newline="") as file, gzip.open(short, "wt", newline="") as cut:
        rows = csv.DictReader(file)
        writer = csv.DictWriter(cut, rows.fieldnames or ())
        writer.writeheader()
        tickets: set[str] = set()
        for row in rows:
            if row["ticket"] in tickets or len(tickets) < number:
                tickets.add(row["ticket"])
                writer.writerow(row)
    return short


@pytest.mark.parametrize(
    ("tickets", "changes", "members"),
    [(400, 7_286, 599), pytest.param(7_554, 65_533, 1_440, marks=pytest.mark.torture)],
)
async def test_every_incident_keeps_the_files_order_and_times(
    database_url: str, shared_data: Path, tmp_path: Path, tickets: int, changes: int, members: int
) -> None:
    path = first_tickets(shared_data / "tickets" / "bpic2013_incidents.csv.gz", tickets, tmp_path)
    expected = times_by_ticket(path)
    assert (len(expected), sum(map(len, expected.values()))) == (tickets, changes)
    async with system_on(database_url, tmp_path) as system:
        report = await imported(system, path, "bpi2013-tickets", tmp_path)
        assert report.complete
        assert report.added == {"tickets": tickets, "members": members}
        await projected(system)
        query = (
            b"SELECT originator_id, array_agg(occurred_at ORDER BY version) FROM timeline.entries"
            b" WHERE topic LIKE 'ticket.%%' GROUP BY originator_id"
        )
        async with system.pool.connection() as connection:
            found: dict[UUID, list[datetime]] = dict(await (await connection.execute(query)).fetchall())
        names = Names(system.blind, "bpi2013")
        for ticket, times in expected.items():
            events = found.pop(names.id("tickets", ticket))
            assert len(events) >= len(times)
            assert without_repeats(events) == without_repeats(times)
        assert not found
        assert (
            await count(system, "tickets.tickets WHERE agent_id NOT IN (SELECT id FROM directory.members)")
            == 0
        )
