"""`lethe view` and `lethe export`, as their users meet them."""

import hashlib
import json
from pathlib import Path

import pytest

from infra.audit import verifier
from infra.history.formats import PROOF_MARK
from tests.cli.test_command_line import PERSON, document, lethe
from tests.e2e.importing import projected, system_on


@pytest.fixture
async def customers(database_url: str, tmp_path: Path) -> str:
    """One customer in the log and in the views; the name is Ada's."""
    (tmp_path / "people.csv").write_text(PERSON)
    lethe("import", "customers", str(tmp_path / "people.csv"), database_url=database_url, data=tmp_path)
    async with system_on(database_url, tmp_path) as system:
        await projected(system)
    return database_url


def test_a_view_is_shown_now_and_as_of_another_time(customers: str, tmp_path: Path) -> None:
    now = lethe("view", "customers", "--json", database_url=customers, data=tmp_path)
    assert now.returncode == 0, now.stderr
    assert len(document(now)["items"]) == 1
    then = lethe(
        "view",
        "customers",
        "--known-at",
        "2020-01-01T00:00:00",
        "--json",
        database_url=customers,
        data=tmp_path,
    )
    assert document(then)["items"] == []
    funnel = lethe(
        "view", "analytics", "funnel", "--as-of", "2020-01-01", database_url=customers, data=tmp_path
    )
    assert [json.loads(it)["reached"] for it in funnel.stdout.splitlines()] == [0] * 5


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "html"])
def test_an_export_and_its_proof_are_verified_offline(customers: str, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"history.{suffix}"
    made = lethe("export", "timeline", str(file), "--json", database_url=customers, data=tmp_path)
    assert made.returncode == 0, made.stderr
    told = document(made)
    assert (told["count"], told["proof"]) == (1, f"{file}.proof")
    assert file.stat().st_mode & 0o777 == 0o600
    checked = lethe(
        "verify", "--export", str(file), "--manifest", told["proof"], database_url=customers, data=tmp_path
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    manifest = json.loads(Path(told["proof"]).read_text().partition("\n")[2].partition("\n\n")[0])
    body = file.read_bytes().partition(PROOF_MARK)[0]
    assert manifest["sha256"] == hashlib.sha256(body).hexdigest()
    file.write_bytes(file.read_bytes().replace(b"customer.registered", b"customer.removed", 1))
    tampered = lethe(
        "verify", "--export", str(file), "--manifest", told["proof"], database_url=customers, data=tmp_path
    )
    assert tampered.returncode == 1
    assert verifier.REPORT_END == PROOF_MARK


def test_a_view_is_exported_from_where_it_is_shown(customers: str, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    made = lethe(
        "view",
        "customers",
        "--export",
        str(file),
        "--filter",
        "kind=person",
        database_url=customers,
        data=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    assert len(file.read_text().splitlines()) == 2
    assert (tmp_path / "customers.csv.proof").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["view", "weather"],
        ["view", "pipeline", "funnel"],
        ["view", "pipeline", "--filter", "stage"],
        ["view", "pipeline", "--filter", "stage=lunch"],
        ["export", "timeline", "history.pdf"],
        ["export", "timeline", "history.csv", "--filter", "name=Ada"],
        ["export", "record-timeline", "history.csv"],
    ],
)
def test_what_makes_no_sense_is_wrong_use(tmp_path: Path, arguments: list[str]) -> None:
    result = lethe(*arguments, data=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
