"""A subscriber is killed before every single statement that it runs in its own database."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from infra.postgres.embedded import EmbeddedPostgres

TORTURE = os.environ.get("LETHE_TORTURE") == "1"


def test_a_subscriber_killed_at_any_statement_does_everything_once(tmp_path: Path) -> None:
    kills = killed(str(tmp_path))
    print(f"\na subscriber on SQLite: {kills} kills, each at another statement; 0 lost, 0 doubled")
    assert kills > 50


@pytest.mark.torture
def test_a_subscriber_on_postgresql_killed_at_any_statement_does_everything_once(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE dying")
    kills = killed(str(tmp_path), make_conninfo(postgres.url_of("dying"), connect_timeout=10))
    print(f"\na subscriber on PostgreSQL: {kills} kills, each at another statement; 0 lost, 0 doubled")
    assert kills > 50


def killed(*arguments: str) -> int:
    command = [sys.executable, "-m", "tests.faults.dying_subscriber", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return int(done.stdout)
