"""Erasing, the ledger and certificates from the command line."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.test_command_line import document, lethe


@pytest.fixture
def person(database_url: str, tmp_path: Path) -> str:
    """Somebody's subject id."""
    people = tmp_path / "people.csv"
    people.write_text("key,name,email,lawful_basis,purpose\n7,Ada Lovelace,ada@example.com,contract,sales\n")
    done = lethe("import", "customers", str(people), database_url=database_url, data=tmp_path)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT subject_id FROM keys.subjects").fetchone()
    assert row is not None
    return str(row[0])


def test_a_category_is_erased_then_everything_and_the_ledger_has_both(
    database_url: str, tmp_path: Path, person: str
) -> None:
    def run(*arguments: str) -> dict[str, Any]:
        done = lethe(*arguments, "--json", database_url=database_url, data=tmp_path)
        assert done.returncode == 0, done.stderr
        return document(done)

    partly = run("erase", person, "--category", "contact")
    wholly = run("erase", person)
    assert (partly["categories"], partly["held"], wholly["categories"]) == (["contact"], False, [])
    checked = run("ledger", "check")
    assert (checked["well"], checked["lines"], checked["missing"]) == (True, 3, 0)
    assert run("ledger", "apply") == {"applied": 0, "fault": None}


def test_a_lost_ledger_stops_everything_until_it_is_rebuilt(
    database_url: str, tmp_path: Path, person: str
) -> None:
    assert lethe("erase", person, database_url=database_url, data=tmp_path).returncode == 0
    (tmp_path / "ledger" / "erasures.jsonl").unlink()
    refused = lethe("status", database_url=database_url, data=tmp_path)
    assert (refused.returncode, "missing" in refused.stderr, refused.stderr.count("\n")) == (1, True, 1)
    rebuilt = lethe("ledger", "rebuild", "--json", database_url=database_url, data=tmp_path)
    assert document(rebuilt)["entries"] == 1
    assert lethe("status", database_url=database_url, data=tmp_path).returncode == 0
