"""An import that dies, is repeated, or meets other content under a known key."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from tests.e2e.importing import count, imported, system_on

ROWS = 6_000


def customers(folder: Path, rows: int, *, city: str = "London") -> Path:
    path = folder / "customers.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "name", "email", "address", "lawful_basis", "purpose"])
        for number in range(rows):
            mail = f"person{number}@example.com"
            writer.writerow(
                [number, f"Person {number}", mail, f"{number} High Street, {city}", "contract", "sales"]
            )
    return path


async def test_an_import_killed_half_way_and_run_again_equals_one_run(
    database_url: str, tmp_path: Path
) -> None:
    path = customers(tmp_path, ROWS)
    environment = os.environ | {"LETHE_DATABASE_URL": database_url, "LETHE_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "infra", "import", "customers", str(path), "--json"]
    dying = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    with psycopg.connect(database_url, autocommit=True) as connection:
        stored = 0
        while stored < ROWS // 5 and dying.poll() is None:
            row = connection.execute("SELECT count(*) FROM log.commands").fetchone()
            stored = row[0] if row else 0
            time.sleep(0.01)  # noqa: ASYNC251
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    async with system_on(database_url, tmp_path) as system:
        kept = await count(system, "log.commands")
        report = await imported(system, path, "customers", tmp_path)
        print(f"killed with {kept} of {ROWS} records stored")
        assert 0 < kept < ROWS
        assert report.unchanged == {"customers": kept}
        assert report.added == {"customers": ROWS - kept}
        assert await count(system, "log.commands") == await count(system, "log.events") == ROWS


async def test_a_dry_run_decides_everything_and_stores_nothing(database_url: str, tmp_path: Path) -> None:
    path = customers(tmp_path, 300)
    async with system_on(database_url, tmp_path) as system:
        rehearsed = await imported(system, path, "customers", tmp_path, dry_run=True)
        assert rehearsed.added == {"customers": 300}
        assert await count(system, "log.events") == await count(system, "log.commands") == 0
        await imported(system, path, "customers", tmp_path)
        again = await imported(system, path, "customers", tmp_path, dry_run=True)
        assert (again.added, again.unchanged) == ({}, {"customers": 300})


async def test_other_content_under_a_known_key_is_a_conflict_and_changes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with system_on(database_url, tmp_path) as system:
        await imported(system, customers(tmp_path, 3), "customers", tmp_path)
        moved = customers(tmp_path, 3, city="Paris")
        for dry_run in (True, False):
            report = await imported(system, moved, "customers", tmp_path, dry_run=dry_run)
            assert (report.conflicts, report.added, report.complete) == (3, {}, False)
        assert await count(system, "log.events") == 3


async def test_the_file_of_rejects_names_rows_fields_and_rules_but_no_values(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(
        "key,name,email,lawful_basis,purpose\n1,Ada,ada@example.com,contract,sales\n"
        "2,Grace,grace-at-example,contract,sales\n3,,,contract,sales\n"
    )
    async with system_on(database_url, tmp_path) as system:
        report = await imported(system, path, "customers", tmp_path)
    assert (report.added, report.rejected) == ({"customers": 1}, 2)
    assert report.rejects is not None
    text = report.rejects.read_text()
    assert [json.loads(line) for line in text.splitlines()] == [
        {"row": 2, "imported": False, "reasons": [{"field": "email", "rule": "not an e-mail address"}]},
        {"row": 3, "imported": False, "reasons": [{"field": "row", "rule": "A person is held by name."}]},
    ]
    assert "grace" not in text.lower()
