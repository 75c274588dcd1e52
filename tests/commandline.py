"""`lethe` in a process of its own for each use, forked from one that has loaded what all commands share.

Loading that takes most of a command's time. Everything else is as in `python -m infra`: the module of the
command itself is loaded after the fork, with the arguments, the environment and the outputs of this use.
"""

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from select import select
from typing import IO, Any

SHARED = ("infra.cli.command", "fastapi", "prometheus_client", "yaml", "yoyo.backends.core.postgresql")
START_SECONDS_MAX = 120.0


def run(
    arguments: Sequence[str], environment: Mapping[str, str], *, timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """Run the command line. Raises `subprocess.TimeoutExpired`, and ends what took too long."""
    stem = _stem()
    with tempfile.TemporaryDirectory(prefix="lethe-command-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        use = {
            "arguments": list(arguments), "environment": dict(environment),
            "folder": str(Path.cwd()), "out": str(out), "err": str(err),
        }  # fmt: skip
        stem.stdin.write(json.dumps(use).encode() + b"\n")
        pid = _answered(stem.stdout, START_SECONDS_MAX)
        code = None if pid is None else _answered(stem.stdout, timeout)
        if pid is None or code is None:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            stem.kill()
            stem.process.wait()
            _stem.cache_clear()
            raise subprocess.TimeoutExpired(["lethe", *arguments], timeout)
        return subprocess.CompletedProcess(list(arguments), code, out.read_text(), err.read_text())


class Stem:
    """The process that is forked: it reads a use a line, and answers with its process and its exit code."""

    def __init__(self) -> None:
        # Of the settings nothing must be known to it: each use brings its own.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.commandline"],
            cwd=Path(__file__).parents[1], env=plain, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            bufsize=0,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()


@cache
def _stem() -> Stem:
    stem = Stem()
    atexit.register(stem.kill)
    return stem


def _answered(pipe: IO[bytes], seconds: float) -> int | None:
    # The pipe has no buffer on this side: the second line may be there already.
    return int(pipe.readline()) if select([pipe], [], [], seconds)[0] else None


def _serve() -> dict[str, Any]:
    """Fork for each use; returns in the forked process only, with the use."""
    uses, answers = os.dup(0), os.dup(1)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process with threads is not safely forked"
    with os.fdopen(uses, "rb") as lines:
        for line in lines:
            if (pid := os.fork()) == 0:
                os.close(answers)
                return dict(json.loads(line))
            os.write(answers, f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    sys.exit(0)


def _become(use: dict[str, Any]) -> None:
    for name, number, flags in (
        (os.devnull, 0, os.O_RDONLY),
        (use["out"], 1, os.O_WRONLY | os.O_CREAT),
        (use["err"], 2, os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(use["folder"])
    os.environ.clear()
    os.environ.update(use["environment"])
    sys.argv = ["lethe", *use["arguments"]]
    runpy.run_module("infra", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in SHARED:
        import_module(name)
    _become(_serve())
