"""A real Kafka broker of one node from its jars, without Docker: for the tests and for trying things."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

POM = Path(__file__).with_name("pom.xml")
HOME = Path(__file__).parents[2] / ".broker"
JARS = HOME / "lib"
FETCHED = JARS / ".ready"
# A small heap and the quick compiler: it answers in seconds, and leaves the machine to what is measured.
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(JARS / "*"))
START_SECONDS_MAX = 60
STARTED = b"Kafka Server started"


class NoBroker(Exception):
    """A local broker cannot be had here, or did not start; the text says why."""


def obstacle() -> str | None:
    """Why no local broker can run here: no Java, or no jars. None if one can."""
    if shutil.which("java") is None:
        return "there is no Java"
    return (
        None if FETCHED.exists() else "the broker's jars are not here: `make broker` fetches them with Maven"
    )


def fetch() -> None:
    """Fetch the jars that the pom names, whole or not at all."""
    if shutil.which("mvn") is None:
        raise NoBroker("there is no Maven to fetch the broker's jars with")
    arriving = HOME / f"arriving-{os.getpid()}"
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={arriving}")
    subprocess.run(["mvn", "-q", "-B", "-f", str(POM), *goal], check=True, stdout=sys.stderr)
    (arriving / FETCHED.name).touch()
    shutil.rmtree(JARS, ignore_errors=True)
    arriving.rename(JARS)


class LocalBroker:
    """One node, broker and controller, on 127.0.0.1. Started again, it keeps its port and its log."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.port, self._controller_port = port or _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What LETHE_KAFKA is to be."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, and return when it serves. Raises `NoBroker` if it does not in 60 s."""
        if reason := obstacle():
            raise NoBroker(reason)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_properties()
        with (self.folder / "broker.log").open("ab") as log:
            if not (self.folder / "log" / "meta.properties").exists():
                self._format(log)
            begin = log.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                [*JAVA, "kafka.Kafka", str(self._properties)], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait_until_started(begin)

    def kill(self) -> None:
        """Kill it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it close its files, then end it. May be repeated."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Wait for its end, and answer its exit status."""
        return 0 if self._process is None else self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _write_properties(self) -> None:
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder.absolute() / "log"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # A killed broker may come back when its session has run out, after 9 s unless told otherwise.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def _format(self, log: IO[bytes]) -> None:
        cluster = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode().replace("-", "A")
        command = ("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties))
        subprocess.run([*JAVA, *command], check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait_until_started(self, begin: int) -> None:
        """The broker says so once it is unfenced; its port answers before that."""
        deadline = time.monotonic() + START_SECONDS_MAX
        with (self.folder / "broker.log").open("rb") as log:
            while time.monotonic() < deadline and self.pid is not None:
                log.seek(begin)
                if STARTED in log.read():
                    return
                time.sleep(0.05)
        self.kill()
        raise NoBroker(f"the broker did not start (log: {self.folder / 'broker.log'})")

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run() -> None:
    """Run one in the foreground until interrupted; its log stays between runs."""
    broker = LocalBroker(HOME / "data", port=9092)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with broker:
        print(f"LETHE_KAFKA={broker.address}", flush=True)  # noqa: T201
        try:
            broker.wait()
        except KeyboardInterrupt:
            print("stopping", file=sys.stderr)  # noqa: T201


def main(arguments: list[str]) -> int:
    """`fetch` the jars, or `run` a broker in the foreground."""
    actions = {"fetch": fetch, "run": _run}
    if len(arguments) != 1 or arguments[0] not in actions:
        print("usage: python -m infra.kafka.broker fetch|run", file=sys.stderr)  # noqa: T201
        return 2
    try:
        actions[arguments[0]]()
    except NoBroker as reason:
        print(reason, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
