"""The product in folders of its own, and words to be marked with that stand nowhere else."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from infra.kafka.broker import LocalBroker
from tests.faults.byte_search import Search, search_bytes

REPOSITORY: Final = Path(__file__).parents[2]
TOKEN: Final = "lethe-" + "t" * 40
CALLER: Final = "caller"
"""The folder of whoever imports and exports: the one place where markers may stand in the clear."""
LETTERS: Final = "bcdfghjklmnpqrstvwxz"
COMMAND_SECONDS_MAX: Final = 240
WATCH_SECONDS: Final = 0.25


@dataclass
class Markers:
    """Words that stand nowhere else. All of a kind begin alike, so that a few searches find any of them."""

    secret: str = field(default_factory=lambda: "".join(random.choices(LETTERS, k=12)))
    digits: str = field(default_factory=lambda: "1512" + "".join(random.choices("23456789", k=6)))
    public: str = field(default_factory=lambda: "".join(random.choices(LETTERS, k=12)))
    day: str = field(default_factory=lambda: f"19{random.randrange(20, 40)}-0{random.randrange(1, 9)}-17")
    made: int = 0

    def word(self) -> str:
        self.made += 1
        return f"{self.secret}{self.made}x"

    def email(self) -> str:
        return f"{self.word()}@{self.word()}.example"

    def phone(self) -> str:
        self.made += 1
        return f"+49{self.digits}{self.made % 10}"

    @property
    def personal(self) -> tuple[str, ...]:
        return self.secret, self.digits, self.day


@dataclass
class Site:
    """The product running in folders of its own, and its client."""

    folder: Path
    broker: LocalBroker
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    http: httpx.Client
    markers: Markers
    search: Search
    shadow: Search
    """Looks for the public word in the same temporary files as `search` for the others: the control."""
    runner: subprocess.Popen[bytes] | None = None
    reasons: list[str] = field(default_factory=list)
    watched: set[tuple[str, int, int]] = field(default_factory=set)

    @property
    def caller(self) -> Path:
        return self.folder / CALLER

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    def post(self, path: str, body: Mapping[str, Any], *expected: int, **headers: str) -> dict[str, Any]:
        """A command, with the reason for it in words."""
        self.reasons.append(self.markers.word())
        return self.ask(path, {"reason": self.reasons[-1], **body}, *expected, **headers)

    def ask(self, path: str, body: Mapping[str, Any], *expected: int, **headers: str) -> dict[str, Any]:
        named = {f"Lethe-{name.title()}": value for name, value in headers.items()}
        answer = self.http.post(path, json=body, headers=named)
        assert answer.status_code in (expected or (200, 201)), (path, answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    def shown(self, path: str, method: str = "GET", **asked: Any) -> httpx.Response:
        """A reading that shows personal values: a marker is in the answer."""
        answer = self.http.request(method, path, **asked)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        assert list(search_bytes(answer.content, self.markers.personal, path)), f"{path} shows nobody"
        return answer

    def sealed(self, path: str, *expected: int, **params: Any) -> httpx.Response:
        """A reading that shows no personal value, whatever it is about: no marker is in the answer."""
        answer = self.http.get(path, params=params)
        assert answer.status_code in (expected or (200,)), (path, answer.status_code, answer.text)
        self.search.data(answer.content, f"the answer of {path}")
        if answer.headers["content-type"] == "application/zip":
            self.search.archive(answer.content, f"the answer of {path}")
        return answer

    def refused(self, answer: httpx.Response) -> None:
        """Headers never tell, and what is refused does not say back what was said."""
        place = f"{answer.status_code} of {answer.request.method} {answer.request.url}"
        self.search.data(repr(answer.headers.raw).encode(), f"headers, {place}")
        if answer.is_error:
            self.search.data(answer.read(), f"problem, {place}")

    def lethe(self, *arguments: str, status: int = 0, shown: bool = False) -> None:
        """A command of the command line; temporary files are looked through while it runs.

        What it shows is the caller's where it is meant to show somebody; else it is kept with the log.
        """
        output = self.caller / "shown" if shown else self.folder / "output.log"
        runner = self._runner()
        assert runner.stdin is not None
        assert runner.stdout is not None
        order = {"arguments": arguments, "output": str(output)}
        runner.stdin.write(json.dumps(order).encode() + b"\n")
        runner.stdin.flush()
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        while not select.select([runner.stdout], [], [], WATCH_SECONDS)[0]:
            assert time.monotonic() < deadline, f"it goes on for ever: {arguments}"
            self._look_at_temporary_files(psutil.Process(runner.pid))
        answer = runner.stdout.readline().strip().decode()
        assert answer == str(status), (arguments, answer, output.read_text()[-2000:])

    def _runner(self) -> subprocess.Popen[bytes]:
        if self.runner is None:
            with (self.folder / "output.log").open("ab") as output:
                self.runner = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.commands_in_turn"],
                    cwd=self.folder / "home", env=self.environment, stderr=output,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                )  # fmt: skip
        return self.runner

    def _look_at_temporary_files(self, process: psutil.Process) -> None:
        """While the command stands still: so that what it keeps for a moment only is seen, too."""
        process.suspend()
        try:
            for path in sorted(self.temporary.rglob("*")):
                try:
                    now = path.stat()
                except FileNotFoundError:
                    continue
                seen = (str(path), now.st_mtime_ns, now.st_size)
                if seen not in self.watched:
                    self.watched.add(seen)
                    self.search.file(path)
                    self.shadow.file(path)
            self.search.open_files([process])
        finally:
            process.resume()

    def input(self, name: str, *lines: str) -> str:
        """A file to import."""
        path = self.caller / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def database_url(self) -> str:
        return f"postgresql://postgres@/lethe?host={self.folder / 'data' / 'postgres'}"

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]


@contextmanager
def site(folder: Path, broker: LocalBroker, namespace: str, markers: Markers) -> Iterator[Site]:
    """`up`, its output, temporary files, home, data and backups all under the folder."""
    for name in ("data", "temporary", "home", "backups", "handed-out", CALLER):
        (folder / name).mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "LETHE_DATA": str(folder / "data"),
        "LETHE_NAMESPACE": namespace,
        "LETHE_KAFKA": broker.address,
        "LETHE_ADMIN_TOKEN": TOKEN,
        "LETHE_PORT": "0",
        "LETHE_LOG_LEVEL": "debug",
        "LETHE_CHECKPOINT_SECONDS": "1",
        "LETHE_BACKUPS": str(folder / "backups"),
        "LETHE_SUBSCRIBERS": "newsletter",
    }
    with (folder / "output.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", "up"],
            cwd=folder / "home",
            env=environment,
            stdout=output,
            stderr=output,
        )
    at: Site | None = None
    try:
        url = _wait_for_url(folder / "output.log", process)
        authorization = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=url, headers=authorization, timeout=60, trust_env=False) as http:
            search, shadow = Search(markers.personal), Search([markers.public])
            at = Site(folder, broker, environment, process, http, markers, search, shadow)
            http.event_hooks["response"] = [at.refused]
            yield at
    finally:
        if at is not None and at.runner is not None:
            at.runner.communicate(timeout=30)
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_for_url(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines()[::-1]:
            if "Lethe serves" in line:
                return line.split("serves ")[1].split()[0]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"it does not serve: {log.read_text()}")
