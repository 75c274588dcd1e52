"""The embedded PostgreSQL: started, shared, adopted after a kill, and stopped by the last handle."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.postgres.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """One cluster for all tests here: making one takes longer than most of them."""
    with tempfile.TemporaryDirectory(prefix="lethe-test-") as folder:
        yield Path(folder) / "postgres"


@pytest.fixture
def folder(cluster: Path) -> Iterator[Path]:
    yield cluster
    pid = EmbeddedPostgres(cluster).pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def answer(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]


def answer_in_the_end(url: str, query: str) -> object:
    deadline = time.monotonic() + 20
    while True:
        try:
            return answer(url, query)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_the_last_handle_stops_the_server_and_the_data_stays(folder: Path) -> None:
    with EmbeddedPostgres(folder) as first:
        with EmbeddedPostgres(folder) as second:
            assert second.pid == first.pid
            with psycopg.connect(second.url) as connection:
                connection.execute("CREATE TABLE early AS SELECT 42 AS answer")
        assert answer(first.url, "SELECT answer FROM early") == 42
    assert first.pid is None
    with EmbeddedPostgres(folder) as again:
        assert answer(again.url, "SELECT answer FROM early") == 42


def test_the_server_of_a_killed_process_is_adopted_and_stopped_in_the_end(folder: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from infra.postgres.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    assert EmbeddedPostgres(folder).pid == pid
    with EmbeddedPostgres(folder) as adopted:
        assert adopted.pid == pid
    assert adopted.pid is None


def test_a_stale_pid_file_that_names_another_process_is_no_hindrance(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        text = (folder / "postmaster.pid").read_text()
    (folder / "postmaster.pid").write_text(f"{os.getpid()}\n" + text.split("\n", 1)[1])
    with EmbeddedPostgres(folder) as server:
        assert server.pid not in (None, os.getpid())
        assert answer(server.url, "SELECT 1") == 1


def test_a_killed_server_is_revived_with_what_was_committed(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.commit()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while server.pid is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.revive()
        assert not server.revive()
        assert answer(server.url, "SELECT answer FROM kept") == 42


async def test_a_watched_server_that_dies_comes_back_without_being_asked(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        watching = asyncio.create_task(server.watch(every_seconds=0.05))
        killed = server.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        answered = await asyncio.to_thread(answer_in_the_end, server.url, "SELECT 1")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert answered == 1
        assert server.pid not in (None, killed)


def test_after_a_killed_initialisation_and_in_a_folder_too_deep_for_a_socket_it_serves(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    (deep / ".initdb-killed" / "cluster").mkdir(parents=True)
    with EmbeddedPostgres(deep / "postgres") as server:
        assert answer(server.url, "SHOW data_checksums") == "on"
        socket_folder = Path(str(answer(server.url, "SHOW unix_socket_directories")))
    assert socket_folder != deep / "postgres"
    assert not socket_folder.exists()
    assert not list(deep.glob(".initdb-*"))


def test_nothing_is_heard_on_the_network_and_commits_are_durable(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        assert answer(server.url, "SHOW listen_addresses") == ""
        assert answer(server.url, "SHOW fsync") == "on"
        assert answer(server.url, "SHOW synchronous_commit") == "on"
        socket = next(folder.glob(".s.PGSQL.*[0-9]"))
        assert socket.stat().st_mode & 0o077 == 0


def test_a_failed_statement_leaves_no_value_in_the_servers_log(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE one (name text PRIMARY KEY)")
            connection.execute("INSERT INTO one VALUES ('Ada Lovelace')")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO one VALUES ('Ada Lovelace')")
        log = (folder / "server.log").read_text()
    assert "duplicate key" in log
    assert "Lovelace" not in log
