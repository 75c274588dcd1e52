"""Dead letters at the command line, of the module that the author wrote."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lethe_subscriber import SQLite, Subscriber
from lethe_subscriber.__main__ import main
from lethe_subscriber.events import TicketClosed

from tests.subscriber.listed import A, ListedSource, received

MIRROR = """
import os
from lethe_subscriber import SQLite, Subscriber
from lethe_subscriber.events import TicketClosed
from tests.subscriber.listed import ListedSource
subscriber = Subscriber("mirror", ListedSource(), SQLite("own.db"))
@subscriber.on(TicketClosed)
def closed(event, db):
    if "BROKEN" in os.environ and event.aggregate_version == 1:
        raise KeyError(event.aggregate_id)
"""

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call it in an author's folder, in which an event and the one behind it are parked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mirror", raising=False)
    Path("mirror.py").write_text(MIRROR)
    subscriber = Subscriber("mirror", ListedSource(received(A, 1), received(A, 2)), SQLite("own.db"))

    @subscriber.on(TicketClosed)
    def closed(event: TicketClosed, db: object) -> None:
        raise KeyError

    subscriber.run(until_caught_up=True)

    def calling(*arguments: str) -> tuple[int, str]:
        code = main(["deadletters", "mirror:subscriber", *arguments])
        said = capsys.readouterr()
        return code, said.out or said.err

    return calling


def test_letters_are_listed_shown_and_tried_again(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    code, listed = call("list")
    first, second = (line.split()[0] for line in listed.splitlines())
    assert code == 0
    assert "ticket.closed version 1" in listed
    assert "failed: KeyError at test_command_line.py" in listed
    assert call("show", first)[1].count('"position"') == 1
    assert call("retry", second) == (1, f"{first} is before it\n")
    monkeypatch.setenv("BROKEN", "yes")
    assert call("retry", first) == (1, "0 applied\n")
    monkeypatch.delenv("BROKEN")
    assert call("retry", first) == (0, "2 applied\n")
    assert call("list") == (0, "")


def test_a_letter_is_skipped_with_a_reason(call: Call) -> None:
    first = call("list")[1].split()[0]
    with pytest.raises(SystemExit):
        call("skip", first)
    assert call("skip", first, "--reason", "import 12") == (0, "skipped, 1 behind it applied\n")
    code, said = call("list", "--skipped")
    assert (code, said.strip().endswith(": import 12")) == (0, True)


def test_it_is_called_as_the_page_says(call: Call) -> None:
    command = [sys.executable, "-m", "lethe_subscriber", "deadletters", "mirror:subscriber", "list"]
    settings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == call("list")


def test_what_is_no_subscriber_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["deadletters", "json:loads", "list"]) == 1
    assert capsys.readouterr().err == "json:loads is no subscriber\n"
