"""`lethe verify` and `lethe audit export`, as their users run them."""

import asyncio
import subprocess
import sys
import zipfile
from pathlib import Path

import psycopg
import pytest

from tests.audit.world import EXPORTED, world
from tests.cli.test_command_line import document, lethe


@pytest.fixture
def data(database_url: str, tmp_path: Path) -> Path:
    """The data folder of a small system that has run."""

    async def run() -> None:
        async with world(database_url, tmp_path / "data", people=6):
            pass

    asyncio.run(run())
    return tmp_path / "data"


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def test_a_whole_system_is_verified(database_url: str, data: Path) -> None:
    done = lethe("verify", "--keys", "--json", database_url=database_url, data=data)
    found = document(done)
    assert (done.returncode, found["verified"], found["findings"]) == (0, True, [])
    assert [it["name"] for it in found["checks"]] == [
        "tree",
        "checkpoints",
        "access tree",
        "access checkpoints",
        "key store",
        "ledger",
        "keys",
    ]
    assert lethe("verify", database_url=database_url, data=data).stdout.endswith("VERIFIED\n")


def test_what_was_changed_is_named_and_the_exit_code_is_1(database_url: str, data: Path) -> None:
    execute(database_url, "UPDATE log.events SET topic = 'customer.archived' WHERE position = 9")
    done = lethe("verify", database_url=database_url, data=data)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "NOT VERIFIED: 1 wrong; the first bad index is 8",
    )
    assert "leaf 8 (position 9): its bytes are not those that the tree has" in done.stdout
    part = document(
        lethe("verify", "--from", "5", "--to", "12", "--json", database_url=database_url, data=data)
    )
    assert (part["verified"], part["first_bad_index"]) == (False, 8)
    clean = lethe("verify", "--from", "9", "--to", "12", "--json", database_url=database_url, data=data)
    assert (clean.returncode, document(clean)["leaves"]) == (0, 3)


def test_a_record_and_a_bundle_are_verified(database_url: str, data: Path, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as connection:
        [record] = connection.execute(
            "SELECT originator_id FROM log.events WHERE position = 1"
        ).fetchone() or ("",)
    found = document(lethe("verify", "--record", str(record), "--json", database_url=database_url, data=data))
    assert (found["verified"], found["record"]) == (True, str(record))
    out = tmp_path / "out" / "bundle.zip"
    out.parent.mkdir()
    done = lethe("audit", "export", "--out", str(out), "--json", database_url=database_url, data=data)
    assert (done.returncode, document(done)["bytes"]) == (0, out.stat().st_size)
    assert sorted(it.name for it in out.parent.iterdir()) == ["bundle.zip", "verifier.py"]
    command = [sys.executable, "-I", "-S", "verifier.py", "bundle.zip", "--vkey", document(done)["vkey"]]
    ran = subprocess.run(command, cwd=out.parent, env={}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "VERIFIED")
    assert lethe("verify", "--bundle", str(out), database_url=database_url, data=data).returncode == 0
    out.write_bytes(out.read_bytes()[:-1])
    assert lethe("verify", "--bundle", str(out), database_url=database_url, data=data).returncode == 1


def test_an_export_is_verified_with_its_manifest(database_url: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    lethe("audit", "export", "--out", str(out), database_url=database_url, data=data)

    with zipfile.ZipFile(out) as archive:
        [name, *_] = [it for it in archive.namelist() if it.startswith("exports/")]
        (tmp_path / "m.note").write_bytes(archive.read(name))
    (tmp_path / "export.jsonl").write_bytes(EXPORTED)
    arguments = ("--export", str(tmp_path / "export.jsonl"), "--manifest", str(tmp_path / "m.note"))
    assert lethe("verify", *arguments, database_url=database_url, data=data).returncode == 0
    (tmp_path / "export.jsonl").write_bytes(EXPORTED + b"x")
    assert lethe("verify", *arguments, database_url=database_url, data=data).returncode == 1
    half = lethe("verify", *arguments[:2], database_url=database_url, data=data)
    assert (half.returncode, "--export and --manifest go together" in half.stderr) == (2, True)


def test_what_is_not_there_is_refused_in_one_line(database_url: str, data: Path) -> None:
    done = lethe("verify", "--from", "100000", database_url=database_url, data=data)
    assert (done.returncode, done.stderr) == (1, "lethe: the signed tree has no such leaves\n")
