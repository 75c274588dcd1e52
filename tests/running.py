"""`lethe up` as its users run it: a process of its own, called over HTTP, stopped, killed, started again."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

START_SECONDS_MAX = 90
STOP_SECONDS_MAX = 30


class Lethe:
    """One `lethe` process. It keeps its port, its token and its folder when it is started again."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self.folder = folder
        self.arguments = arguments or ("up",)
        self.port = _free_port()
        self.token = secrets.token_urlsafe(32)
        self.settings = {
            "LETHE_DATA": str(folder / "data"),
            "LETHE_PORT": str(self.port),
            "LETHE_ADMIN_TOKEN": self.token,
            "LETHE_LOG_LEVEL": "warning",
        } | {f"LETHE_{name.upper()}": value for name, value in settings.items()}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is called."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What its callers send."""
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def said(self) -> str:
        """All it wrote to standard output."""
        return (self.folder / "out").read_text()

    @property
    def logged(self) -> str:
        """All it wrote to standard error."""
        return (self.folder / "err").read_text()

    def launch(self) -> None:
        """Start it, and do not wait."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
        settings = {name: value for name, value in self.settings.items() if value}
        with self._file("out") as out, self._file("err") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra", *self.arguments], env=plain | settings, stdout=out, stderr=err
            )

    def start(self) -> float:
        """Start it; the seconds until it is ready."""
        begun = time.monotonic()
        self.launch()
        assert self.process is not None
        while not self._ready():
            assert self.process.poll() is None, f"it ended: {self.logged}"
            assert time.monotonic() - begun < START_SECONDS_MAX, f"it is not ready: {self.logged}"
            time.sleep(0.02)
        return time.monotonic() - begun

    def stop(self) -> tuple[int, float]:
        """Ask it to end; its exit code, and the seconds that took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX), time.monotonic() - begun

    def kill(self) -> None:
        """End it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.process is not None:
            print(self.logged[-20_000:])  # before its folder goes
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def _file(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("ab")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
