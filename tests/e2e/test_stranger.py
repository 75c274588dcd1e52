"""A stranger's subscriber: the script of the page, in an empty folder, killed again and again."""

import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.samples import ticket
from tests.running import Lethe

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "infra" / "subscriber" / "README.md"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
TORTURE = os.environ.get("LETHE_TORTURE") == "1"
ROUNDS = 50 if TORTURE else 4
CHANGES = ("resolve", "reopen", "close", "pause", "resume")


def script() -> str:
    """The subscriber as the client's page shows it."""
    (found,) = PYTHON.findall(PAGE.read_text())
    return str(found)


def test_the_readme_shows_the_same_subscriber_in_ten_lines() -> None:
    shown = [it for it in PYTHON.findall((REPOSITORY / "README.md").read_text()) if "lethe_subscriber" in it]
    assert [it for it in shown if it != script()] == []
    assert len([line for line in script().splitlines() if line]) == 10


@pytest.mark.timeout(900 if TORTURE else 300)
def test_a_mirror_of_open_tickets_that_is_killed_at_random_ends_equal(tmp_path: Path) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    with Lethe(tmp_path) as lethe:
        lethe.start()
        (folder / "mirror.py").write_text(script().replace("http://127.0.0.1:8080", lethe.url))
        chance = random.Random(4)
        with busy_tickets(lethe) as made:
            wait_until(lambda: len(made) > 20)
            for _ in range(ROUNDS):
                with mirror(folder, lethe.token):
                    before = mirrored(folder)
                    wait_until(lambda: mirrored(folder) != before)  # noqa: B023 - within the round
                    # As soon as an effect is seen, or a little later: what else is stored with it?
                    time.sleep(chance.choice((0, chance.random() * 0.2)))
        expected = open_tickets(lethe)
        with mirror(folder, lethe.token) as process:
            wait_until(lambda: mirrored(folder) == expected)
            process.terminate()
            assert process.wait(30) == 0
    print(f"\na stranger's mirror: {ROUNDS} kills, {len(made)} tickets, {len(expected)} open, equal")
    assert len(expected) > 10
    assert parked(folder) == 0


@contextmanager
def mirror(folder: Path, token: str) -> "Iterator[subprocess.Popen[bytes]]":
    """The script, running; killed at the end, where it has not ended by itself."""
    environment = {"PATH": os.environ["PATH"], "LETHE_TOKEN": token}
    process = subprocess.Popen([sys.executable, "mirror.py"], cwd=folder, env=environment)
    try:
        yield process
        assert process.poll() in (None, 0)
    finally:
        process.kill()
        process.wait()


@contextmanager
def busy_tickets(lethe: Lethe) -> Iterator[list[str]]:
    """Tickets are opened and changed without pause; the ids so far."""
    made: list[str] = []
    stop = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        chance = random.Random(8)
        try:
            with httpx.Client(base_url=lethe.url, headers=lethe.headers, timeout=30) as api:
                while not stop.is_set():
                    answer = api.post("/v1/tickets", json=ticket())
                    answer.raise_for_status()
                    made.append(answer.json()["id"])
                    for _ in range(3):
                        change(api, chance.choice(made), chance.choice(CHANGES))
        except Exception as error:  # noqa: BLE001 - raised again where the test waits
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def change(api: httpx.Client, ticket_id: str, verb: str) -> None:
    body = {"waiting_for": "customer"} if verb == "pause" else {}
    answer = api.post(f"/v1/tickets/{ticket_id}/{verb}", json=body)
    assert answer.status_code in (200, 409), answer.text  # 409: not from where it stands


def open_tickets(lethe: Lethe) -> set[str]:
    """What the API says, all that was written taken in."""
    with httpx.Client(base_url=lethe.url, headers=lethe.headers, timeout=30) as api:
        last = api.post("/v1/tickets", json=ticket()).json()
        found: set[str] = set()
        query = {"unresolved": "true", "limit": "100", "at_least": str(last["position"])}
        while True:
            page = api.get("/v1/tickets", params=query).raise_for_status().json()
            found |= {it["id"] for it in page["items"]}
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]


def mirrored(folder: Path) -> set[str]:
    return {str(it) for (it,) in asked(folder, "SELECT id FROM open_tickets", default=[])}


def parked(folder: Path) -> int:
    return int(asked(folder, "SELECT count(*) FROM lethe_dead_letters", default=[(1,)])[0][0])


def asked(folder: Path, query: str, *, default: list[Any]) -> list[Any]:
    """The rows; the default while the script has not made its tables yet."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/mirror.db?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(query).fetchall() or [*default]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error) or "unable to open" in str(error):
            return [*default]
        raise


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that within a minute"
        time.sleep(0.001)
