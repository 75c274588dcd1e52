"""`lethe rebuild`, as its users meet it."""

from pathlib import Path

import psycopg

from infra.cli.rebuilding import View
from infra.postgres.views.tables import VIEWS
from tests.cli.test_command_line import PERSON, document, lethe
from tests.e2e.importing import projected, system_on


async def imported(database_url: str, tmp_path: Path) -> None:
    """One customer in the log and in the views."""
    (tmp_path / "people.csv").write_text(PERSON)
    lethe("import", "customers", str(tmp_path / "people.csv"), database_url=database_url, data=tmp_path)
    async with system_on(database_url, tmp_path) as system:
        await projected(system)


def test_it_knows_every_view() -> None:
    assert [it.value for it in View] == list(VIEWS)


async def test_every_view_is_built_anew_and_equals_the_live_one(database_url: str, tmp_path: Path) -> None:
    await imported(database_url, tmp_path)

    result = lethe("rebuild", "--json", database_url=database_url, data=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    reports = document(result)["views"]
    assert [it["view"] for it in reports] == list(VIEWS)
    assert all(it["equal"] and it["live_hash"] == it["rebuilt_hash"] for it in reports)
    assert sum(it["rows"] for it in reports if it["view"] == "directory") > 0


async def test_a_view_that_was_changed_by_hand_is_named_and_mended(database_url: str, tmp_path: Path) -> None:
    await imported(database_url, tmp_path)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE directory.customers SET source = 'changed by hand'")

    found = lethe("rebuild", "directory", database_url=database_url, data=tmp_path)
    again = lethe("rebuild", "directory", database_url=database_url, data=tmp_path)

    assert (found.returncode, again.returncode) == (0, 0)
    assert "the live view differed" in found.stdout
    assert "differed" not in again.stdout


def test_a_view_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    result = lethe("rebuild", "weather", data=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
