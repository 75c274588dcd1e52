"""Servers that do not answer, or say no; databases that are busy or gone: waited for, or ended clearly."""

import http.server
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lethe_subscriber import Api, HttpFeed, NotAllowed, PostgreSQL, Refused, SQLite, Subscriber, Unreachable
from lethe_subscriber.events import TicketClosed
from lethe_subscriber.pausing import SECONDS_MAX, Pause

from tests.subscriber.listed import NOTES, A, B, ListedSource, Noting, received

Answer = tuple[int, dict[str, str], dict[str, Any]]
NOTHING: dict[str, Any] = {"items": [], "next": 0}


class Scripted(http.server.ThreadingHTTPServer):
    """Gives the answers in turn, the last one from then on; status 0 breaks the line."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[tuple[float, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append((time.monotonic(), self.path))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if status == 0:
            self.close_connection = True
            return
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def scripted() -> Iterator[Any]:
    servers: list[Scripted] = []

    def start(*answers: Answer) -> Scripted:
        server = Scripted(*answers)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return server

    yield start
    for it in servers:
        it.shutdown()
        it.server_close()


def page(*events: Any) -> Answer:
    items = [it.document for it in events]
    return 200, {}, {"items": items, "next": items[-1]["position"]}


def closing(url: str, path: Path) -> tuple[Subscriber[Any], list[int]]:
    subscriber = Subscriber("closing", HttpFeed(url, "t"), SQLite(path / "own.db"))
    seen: list[int] = []
    subscriber.on(TicketClosed)(lambda event, db: seen.append(event.aggregate_version))
    return subscriber, seen


@pytest.mark.parametrize("failure", [(503, {}, {}), (429, {}, {}), (500, {}, {}), (0, {}, {})])
def test_a_server_that_fails_is_asked_again(scripted: Any, tmp_path: Path, failure: Answer) -> None:
    first, second = received(A, 1, position=1), received(A, 2, position=2)
    # After the failure it makes sure that the log is the one it knows, and goes on.
    server = scripted(page(first), failure, page(first), page(second), (200, {}, NOTHING | {"next": 2}))
    subscriber, seen = closing(server.url, tmp_path)
    subscriber.run(until_caught_up=True)
    assert seen == [1, 2]


def test_a_server_is_left_alone_as_long_as_it_asks(scripted: Any, tmp_path: Path) -> None:
    server = scripted((503, {"Retry-After": "1"}, {}), (200, {}, NOTHING))
    closing(server.url, tmp_path)[0].run(until_caught_up=True)
    (first, _), (second, _) = server.asked[:2]
    assert second - first >= 1.0


def test_retry_after_may_be_a_date_and_nonsense_is_no_matter(scripted: Any) -> None:
    date = formatdate(time.time() + 100, usegmt=True)
    server = scripted((503, {"Retry-After": date}, {}), (503, {"Retry-After": "soon"}, {}), (503, {}, {}))
    api = Api(server.url, "t")
    waits = []
    for _ in range(3):
        with pytest.raises(Unreachable) as caught:
            api.get("/v1/events", {})
        waits.append(caught.value.seconds)
    api.close()
    assert waits[0] == pytest.approx(100, abs=5)
    assert waits[1:] == [None, None]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_ends_it_with_what_the_server_said(
    scripted: Any, tmp_path: Path, status: int
) -> None:
    server = scripted((status, {}, {"title": "The token does not allow this.", "status": status}))
    with pytest.raises(NotAllowed, match=f"{status} The token does not allow this"):
        closing(server.url, tmp_path)[0].run(until_caught_up=True)


def test_a_request_that_makes_no_sense_ends_it(scripted: Any, tmp_path: Path) -> None:
    server = scripted((422, {}, {"title": "Malformed", "detail": "No such type.", "status": 422}))
    with pytest.raises(Refused, match="No such type"):
        closing(server.url, tmp_path)[0].run(until_caught_up=True)


def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LETHE_TOKEN", raising=False)
    with pytest.raises(NotAllowed, match="LETHE_TOKEN"):
        HttpFeed("http://127.0.0.1:1")
    monkeypatch.setenv("LETHE_TOKEN", "t")
    HttpFeed("http://127.0.0.1:1")


def test_pauses_grow_to_a_bound_with_jitter_and_begin_anew() -> None:
    pause = Pause()
    waits = [pause.next(None) for _ in range(12)]
    assert 0.1 <= waits[0] <= 0.2
    assert SECONDS_MAX / 2 <= waits[-1] <= SECONDS_MAX
    assert pause.next(60.0) == 60.0
    pause.over()
    assert pause.next(None) <= 0.2


def test_a_database_that_is_locked_parks_nothing_and_is_waited_for(tmp_path: Path) -> None:
    it = Noting(
        ListedSource(received(A, 1), received(B, 1)), SQLite(tmp_path / "own.db", NOTES), (TicketClosed,)
    )
    busy = iter([True])

    def fail_once(event: TicketClosed, db: sqlite3.Connection) -> None:
        if next(busy, False):
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error
        it._note(event, db)

    it.subscriber._handlers["ticket.closed"] = TicketClosed, fail_once
    it.run()
    assert it.noted() == [(A, 1), (B, 1)]
    assert (it.subscriber.counts.handled, it.subscriber.counts.parked) == (2, 0)


def test_a_connection_that_is_lost_in_a_handler_parks_nothing_and_is_made_anew(postgresql: str) -> None:
    it = Noting(ListedSource(received(A, 1), received(B, 1)), PostgreSQL(postgresql, NOTES), (TicketClosed,))
    cut = iter([True])

    def cut_once(event: TicketClosed, db: psycopg.Connection[Any]) -> None:
        it._note(event, db)
        if next(cut, False):
            with psycopg.connect(postgresql, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [db.info.backend_pid])
            db.execute("SELECT 1")

    it.subscriber._handlers["ticket.closed"] = TicketClosed, cut_once
    it.run()
    assert it.noted() == [(A, 1), (B, 1)]
    assert (it.subscriber.counts.handled, it.subscriber.counts.parked) == (2, 0)


def test_a_database_that_does_not_answer_is_waited_for_until_asked_to_stop() -> None:
    store = PostgreSQL("postgresql://127.0.0.1:1/none")
    subscriber = Subscriber("x", ListedSource(), store)
    subscriber.on(TicketClosed)(lambda event, db: None)
    ending = threading.Timer(0.3, subscriber.stop)
    ending.start()
    subscriber.run(until_caught_up=True)
    ending.join()
    with pytest.raises(Unreachable):
        store.open(())


WAITING = """
from lethe_subscriber import HttpFeed, SQLite, Subscriber
from lethe_subscriber.events import TicketClosed
subscriber = Subscriber("waiting", HttpFeed("{url}", "t"), SQLite("own.db"))
subscriber.on(TicketClosed)(lambda event, db: None)
subscriber.run()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_long_poll_at_once_and_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    class Slow(_Handler):
        def do_GET(self) -> None:
            self.server.asked.append((time.monotonic(), self.path))
            asked.set()
            over.wait(60)

    asked, over = threading.Event(), threading.Event()
    with Scripted() as server:
        server.RequestHandlerClass = Slow
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        command = [sys.executable, "-c", WAITING.format(url=server.url)]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
        try:
            assert asked.wait(60)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
            over.set()
            server.shutdown()
    assert (process.returncode, said) == (0, b"")
