"""The command line as its users meet it: one-line errors, exit codes, one JSON document."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.__main__ import MODULES, load
from infra.cli.command import lethe as lethe_app
from tests.commandline import run

PERSON = "key,name,email,lawful_basis,purpose\n7,Ada Lovelace,ada@example.com,contract,sales\n"


def lethe(
    *arguments: str, database_url: str | None = None, data: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    settings = {"LETHE_DATABASE_URL": database_url, "LETHE_DATA": str(data) if data else None}
    given = {name: value for name, value in settings.items() if value is not None}
    return run(arguments, plain | given | environment)


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing command"),
        (["forget"], "No such command 'forget'"),
        (["import", "customers"], "Missing argument"),
        (["import", "suppliers", "x.csv"], "'suppliers' is not one of"),
        (["import", "customers", "no-such-file.csv"], "does not exist"),
        (["erase", "Ada"], "should be a valid UUID"),
        (["status", "--port", "many"], "LETHE_PORT"),
        (["status", "--database-url", "mysql://x"], "LETHE_DATABASE_URL"),
    ],
)
def test_wrong_use_is_answered_in_one_line_and_exit_code_2(arguments: list[str], words: str) -> None:
    result = lethe(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_started_from_nothing_it_says_what_it_says_when_forked() -> None:
    command = [sys.executable, "-m", "infra", "status", "--port", "many"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
    result = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=120, check=False)
    forked = lethe("status", "--port", "many")
    assert (result.returncode, result.stdout, result.stderr) == (2, "", forked.stderr)


def test_each_command_is_found_where_it_is_said_to_be() -> None:
    load()
    found: dict[str, set[str]] = {}
    for command in lethe_app.registered_commands:
        assert command.name is not None
        found.setdefault(command.name, set()).add(_module_of(command))
    for group in lethe_app.registered_groups:
        assert group.typer_instance is not None
        commands = group.typer_instance.registered_commands
        found.setdefault(str(group.name), set()).update(map(_module_of, commands))
    assert found == {name: set(modules) for name, modules in MODULES.items()}


def _module_of(command: Any) -> str:
    return str(command.callback.__module__).removeprefix("infra.cli.")


def test_an_unknown_setting_is_wrong_use() -> None:
    result = lethe("status", LETHE_DATABSE_URL="x")
    assert (result.returncode, result.stderr) == (2, "lethe: LETHE_DATABSE_URL: no such setting\n")


def test_a_mapping_for_another_kind_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PERSON)
    result = lethe("import", "leads", str(tmp_path / "people.csv"), "--mapping", "customers", "--json")
    assert result.returncode == 2
    assert document(result)["error"]["type"] == "BadMapping"


def test_a_database_that_is_away_is_a_failure_in_one_line(tmp_path: Path) -> None:
    result = lethe("status", "--json", database_url="postgresql://127.0.0.1:1/x", data=tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert document(result)["error"]["type"] == "Unavailable"


def test_a_flag_wins_over_the_environment(database_url: str, tmp_path: Path) -> None:
    result = lethe(
        "status", "--namespace", "other", database_url=database_url, data=tmp_path, LETHE_NAMESPACE="main"
    )
    assert result.returncode == 1
    assert "'other'" in result.stderr


def test_a_subject_nobody_knows_is_refused(database_url: str, tmp_path: Path) -> None:
    unknown = "018f0000-0000-7000-8000-000000000000"
    result = lethe("erase", unknown, database_url=database_url, data=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("lethe: Nothing is known")


def test_a_person_is_imported_seen_in_the_status_and_erased(database_url: str, tmp_path: Path) -> None:
    where: dict[str, Any] = {"database_url": database_url, "data": tmp_path}
    (tmp_path / "people.csv").write_text(PERSON)
    rehearsed = lethe("import", "customers", str(tmp_path / "people.csv"), "--dry-run", **where)
    assert (rehearsed.returncode, rehearsed.stdout.splitlines()[1:]) == (0, ["  1 customers would be added"])
    report = lethe("import", "customers", str(tmp_path / "people.csv"), "--json", **where)
    assert (report.returncode, document(report)["added"]) == (0, {"customers": 1})
    status = lethe("status", "--json", **where)
    assert document(status)["keys"] == {"contact": {"active": 1}, "identity": {"active": 1}}
    assert document(status)["position"] == 1
    subject = _subject_of_the_only_event(database_url)
    erased = lethe("erase", subject, "--ground", "objection", "--reason", "she asked", "--json", **where)
    assert (erased.returncode, document(erased)["erased"]) == (0, True)
    keys = document(lethe("status", "--json", **where))["keys"]
    assert keys["identity"] == {"erased": 1}
    assert keys["contact"] == {"erased": 1}


def _subject_of_the_only_event(database_url: str) -> str:
    import psycopg

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT subject_id FROM log.commands").fetchone()
    assert row is not None
    return str(row[0])


def test_a_token_is_shown_once_and_kept_only_by_its_digest(database_url: str, tmp_path: Path) -> None:
    made = lethe(
        "token", "create", "--name", "reporting", "--scope", "read", "--days", "30", "--json",
        database_url=database_url, data=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0
    assert document(made)["token"].startswith("lethe_")
    assert document(made)["scopes"] == ["read"]


def test_migrating_again_changes_nothing(database_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        result = lethe("migrate", "--json", database_url=database_url, data=tmp_path)
        assert (result.returncode, document(result)) == (0, {"migrated": True})
