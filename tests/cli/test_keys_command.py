"""`lethe keys`, as its users meet it."""

from pathlib import Path

import psycopg

from infra.postgres.epochstore import LOCK
from tests.cli.test_command_line import PERSON, document, lethe
from tests.e2e.importing import system_on


def imported(database_url: str, tmp_path: Path) -> None:
    """One customer in the log."""
    (tmp_path / "people.csv").write_text(PERSON)
    result = lethe(
        "import", "customers", str(tmp_path / "people.csv"), database_url=database_url, data=tmp_path
    )
    assert result.returncode == 0


async def test_rotating_wraps_all_keys_anew_and_says_what_to_do_next(
    database_url: str, tmp_path: Path
) -> None:
    imported(database_url, tmp_path)
    before = document(lethe("keys", "status", "--json", database_url=database_url, data=tmp_path))
    [epoch] = before["epochs"]
    old_kek = (tmp_path / "kek").read_text()

    rotated = document(lethe("keys", "rotate", "--json", database_url=database_url, data=tmp_path))

    assert rotated["keys"] == epoch["active"] + epoch["system"] > 1
    assert rotated["destroyed"] == [epoch["kek_id"]]
    assert not rotated["resumed"]
    assert old_kek not in (tmp_path / "kek").read_text()
    after = document(lethe("keys", "status", "--json", database_url=database_url, data=tmp_path))
    assert [it["state"] for it in after["epochs"]] == ["sealed", "present"]
    assert after["odd"] == {}
    words = lethe("keys", "rotate", database_url=database_url, data=tmp_path).stdout
    assert words.startswith("Epoch 3 begun: ")
    assert "Destroy the copies" in words
    async with system_on(database_url, tmp_path) as system:
        assert await system.ring.counts()


async def test_what_is_odd_about_keys_is_said_and_makes_the_exit_code_1(
    database_url: str, tmp_path: Path
) -> None:
    imported(database_url, tmp_path)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE keys.subjects SET erased_at = now()")
    result = lethe("keys", "status", database_url=database_url, data=tmp_path)
    assert result.returncode == 1
    assert "odd: living keys of erased subjects" in result.stdout


async def test_a_second_rotation_at_once_is_refused(database_url: str, tmp_path: Path) -> None:
    imported(database_url, tmp_path)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        result = lethe("keys", "rotate", database_url=database_url, data=tmp_path)
    assert result.returncode == 1
    assert result.stderr == "lethe: another process rotates the key-encryption key just now\n"
