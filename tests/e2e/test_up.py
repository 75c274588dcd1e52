"""`lethe up` from its first start to its end: what it says, whom it lets in, how it stops."""

import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from infra.postgres.embedded import EmbeddedPostgres
from tests.running import Lethe

# Of a machine that does nothing else: ample for one that runs other tests too.
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
LEAD = {"source": "fair"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not in pytest's folder, which is closed to the user that the embedded server runs as."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def postgres_of(lethe: Lethe) -> EmbeddedPostgres:
    return EmbeddedPostgres(lethe.folder / "data" / "postgres")


def allowed(lethe: Lethe, token: str) -> bool:
    """Whether the token may write."""
    response = httpx.post(
        f"{lethe.url}/v1/leads", json=LEAD, headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    assert response.status_code in (201, 401), response.text
    return response.status_code == 201


def test_the_first_start_makes_a_token_and_shows_it_once(folder: Path) -> None:
    with Lethe(folder, admin_token="") as lethe:
        first = lethe.start()
        [token] = re.findall(r"lethe_\S+", lethe.said)
        assert f"{lethe.url} " in lethe.said
        assert allowed(lethe, token)
        code, stopped = lethe.stop()
        assert code == 0
        assert postgres_of(lethe).pid is None

        again = lethe.start()
        assert re.findall(r"lethe_\S+", lethe.said) == [token]
        assert lethe.said.count(lethe.url + " ") == 2
        assert allowed(lethe, token)
        assert lethe.stop()[0] == 0
        assert token not in lethe.logged
    print(f"\nfirst start {first:.1f} s, stop {stopped:.1f} s, next start {again:.1f} s")
    assert again < START_SECONDS_MAX
    assert stopped < STOP_SECONDS_MAX


def test_a_token_that_was_given_is_let_in_and_never_said(folder: Path) -> None:
    with Lethe(folder) as lethe:
        lethe.start()
        assert allowed(lethe, lethe.token)
        assert not allowed(lethe, lethe.token + "x")
        assert lethe.stop()[0] == 0
        assert lethe.token not in lethe.said + lethe.logged


def test_the_api_is_told_to_stop_in_the_middle_of_a_request_and_answers_it(folder: Path) -> None:
    with Lethe(folder) as lethe, httpx.Client(headers=lethe.headers, timeout=30) as http:
        lethe.start()
        last = http.get(f"{lethe.url}/v1/events", params={"limit": 1}).json()["next"]
        with socket.create_connection(("127.0.0.1", lethe.port)) as line:
            line.sendall(
                f"GET /v1/events?after={last}&wait=2 HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {lethe.token}\r\n\r\n".encode()
            )
            time.sleep(0.5)
            code, _ = lethe.stop()
            assert line.recv(64).startswith(b"HTTP/1.1 200")
        assert code == 0


def test_without_its_broker_it_starts_takes_commands_and_stops(folder: Path) -> None:
    with Lethe(folder, kafka="127.0.0.1:1") as lethe:
        lethe.start()
        assert allowed(lethe, lethe.token)
        code, stopped = lethe.stop()
    assert code == 0
    assert stopped < STOP_SECONDS_MAX


def test_two_workers_serve_are_replaced_and_stop(folder: Path) -> None:
    with Lethe(folder, workers="2") as lethe:
        lethe.start()
        assert lethe.process is not None
        workers = workers_of(lethe)
        assert len(workers) == 2
        assert all(allowed(lethe, lethe.token) for _ in range(20))

        workers[0].kill()
        deadline = time.monotonic() + START_SECONDS_MAX
        while len(alive := workers_of(lethe)) < 2 or workers[0] in alive:
            assert time.monotonic() < deadline, "a dead worker is not replaced"
            time.sleep(0.1)
        assert allowed(lethe, lethe.token)

        code, stopped = lethe.stop()
        assert code == 0
        assert not any(it.is_running() for it in alive)
        assert postgres_of(lethe).pid is None
    assert stopped < STOP_SECONDS_MAX


def test_workers_end_with_the_process_that_started_them(folder: Path) -> None:
    with Lethe(folder, workers="2") as lethe:
        lethe.start()
        orphans = workers_of(lethe)
        lethe.kill()
        _, alive = psutil.wait_procs(orphans, timeout=STOP_SECONDS_MAX)
        assert alive == []
        lethe.start()
        assert allowed(lethe, lethe.token)


def workers_of(lethe: Lethe) -> list[psutil.Process]:
    """The processes that accept requests."""
    assert lethe.process is not None
    children = psutil.Process(lethe.process.pid).children()
    return [
        it
        for it in children
        if it.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(it.cmdline())
    ]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"workers": "many"}, 2, "LETHE_WORKERS"),
        ({"admin_token": "too short"}, 2, "LETHE_ADMIN_TOKEN"),
        ({"kek": "vault:x"}, 2, "LETHE_KEK"),
        ({"no_such_thing": "1"}, 2, "LETHE_NO_SUCH_THING"),
        ({"database_url": "postgresql://127.0.0.1:1/x"}, 1, "the database cannot be reached"),
    ],
)
def test_what_it_cannot_start_with_is_said_in_one_line(
    folder: Path, settings: dict[str, str], code: int, words: str
) -> None:
    with Lethe(folder, **settings) as lethe:
        assert_refused(lethe, code, words)


def test_a_port_that_is_taken_is_said_in_one_line(folder: Path) -> None:
    with Lethe(folder) as lethe, socket.create_server(("127.0.0.1", lethe.port)):
        assert_refused(lethe, 1, f"port {lethe.port}")


def assert_refused(lethe: Lethe, code: int, words: str) -> None:
    lethe.launch()
    assert lethe.process is not None
    assert lethe.process.wait(60) == code
    assert words in lethe.logged
    assert lethe.logged.count("\n") == 1
    assert lethe.said == ""
