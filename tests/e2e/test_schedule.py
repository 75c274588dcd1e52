"""`lethe schedule` as a process of its own, and as a part of `lethe up`."""

import time
from pathlib import Path

import psycopg
import pytest

from tests.running import Lethe

WAIT_SECONDS_MAX = 60


def announced(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM schedule.jobs WHERE next_at > now()").fetchone()
    return row is not None and row[0] > 0


@pytest.mark.parametrize("command", ["schedule", "up"])
def test_the_jobs_are_kept_until_it_is_told_to_stop(database_url: str, tmp_path: Path, command: str) -> None:
    with Lethe(tmp_path, "migrate", database_url=database_url) as lethe:
        lethe.launch()
        assert lethe.process is not None
        assert lethe.process.wait(WAIT_SECONDS_MAX) == 0, lethe.logged
        lethe.arguments = (command,)
        lethe.launch()
        until = time.monotonic() + WAIT_SECONDS_MAX
        while not announced(database_url):
            assert lethe.process.poll() is None, lethe.logged
            assert time.monotonic() < until, lethe.logged
            time.sleep(0.1)
        code, _ = lethe.stop()
        assert code == 0
        assert "failed" not in lethe.logged
