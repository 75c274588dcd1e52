"""How many customers a second the API creates: durable and sealed, over 64 keep-alive connections."""

import asyncio
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from rich.table import Table

from infra import json
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import migrate

CONNECTIONS: Final = 64
SECONDS: Final = 5.0
ROUNDS: Final = 3
GOAL: Final = 1_500
START_SECONDS_MAX: Final = 180
TOKEN: Final = secrets.token_hex(32)


class Caller(asyncio.Protocol):
    """One keep-alive connection that sends the next request when the answer to the last is there."""

    def __init__(self, number: int, until: float, gone: "asyncio.Future[None]") -> None:
        self.number, self.until, self.gone = number, until, gone
        self.created = 0
        self.latencies: list[float] = []
        self._head = (
            "POST /v1/customers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {TOKEN}\r\n"
        )
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        person = {
            "kind": "person",
            "source": "bench",
            "lawful_basis": "contract",
            "purpose": "measuring",
            "name": f"Person {self.number} {self.created}",
            "email": f"p{self.number}.{self.created}@example.com",
        }
        body = json.encode(person)
        key = f"Idempotency-Key: {self.number}-{self.created}-{self.until}\r\n"
        self._sent = time.perf_counter()
        self._transport.write(f"{self._head}{key}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        if not head.startswith(b"HTTP/1.1 201"):
            self.gone.set_exception(RuntimeError(f"{head[:40]!r} {body[:300]!r}"))
            self._transport.close()
            return
        self.created += 1
        self.latencies.append(time.perf_counter() - self._sent)
        if time.perf_counter() < self.until:
            self._send()
        else:
            self._transport.close()
            self.gone.set_result(None)


async def measure(port: int) -> tuple[float, float, int]:
    """Creates a second, and the median latency in milliseconds."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + SECONDS
    callers = [Caller(number, until, loop.create_future()) for number in range(CONNECTIONS)]
    started = time.perf_counter()
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(caller.gone for caller in callers))
    took = time.perf_counter() - started
    latencies = [it for caller in callers for it in caller.latencies]
    created = sum(caller.created for caller in callers)
    return created / took, statistics.median(latencies) * 1000, created


@contextmanager
def api(url: str, folder: Path, processes: int) -> Iterator[tuple[int, psutil.Process]]:
    """`lethe api` with this many processes, and the port they share."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = {
        "LETHE_DATABASE_URL": url,
        "LETHE_DATA": str(folder),
        "LETHE_PORT": str(port),
        "LETHE_WORKERS": str(processes),
        "LETHE_ADMIN_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "infra", "api"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=os.environ | settings, stdout=quiet, stderr=quiet) as process:
        try:
            _await_answers(port, process)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()


def _await_answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until every process answers a search: then each has read all names, and is idle."""
    search = f"GET /v1/customers?q=nobody HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    in_a_row, until = 0, time.monotonic() + START_SECONDS_MAX
    while in_a_row < 20:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the API did not start")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
                probe.sendall(f"{search}Connection: close\r\n\r\n".encode())
                in_a_row = in_a_row + 1 if b" 200 " in probe.recv(100) else 0
        except OSError:
            in_a_row = 0
        time.sleep(0 if in_a_row else 0.1)


def cpu_seconds(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return float(sum(sum(it.cpu_times()[:2]) for it in family))


def main() -> None:
    """Print creates a second with one API process and with two, in alternating rounds."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    latencies: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        url = postgres.url_of("postgres")
        asyncio.run(migrate(url, namespace="main"))
        for _ in range(ROUNDS):
            for count in rates:
                with api(url, folder / "data", count) as (port, process):
                    before = cpu_seconds(process)
                    rate, latency, created = asyncio.run(measure(port))
                    cpu[count].append((cpu_seconds(process) - before) / created * 1000)
                rates[count].append(rate)
                latencies[count].append(latency)
    show(rates, latencies, cpu)


def show(
    rates: dict[int, list[float]], latencies: dict[int, list[float]], cpu: dict[int, list[float]]
) -> None:
    table = Table(title=f"HTTP create, durable and sealed, {CONNECTIONS} connections, medians of {ROUNDS}")
    for column in ("API processes", "creates/s", "p50 ms", "API CPU ms/create", f"x {GOAL}/s", "ratio"):
        table.add_column(column, justify="right")
    one = statistics.median(rates[1])
    for count, measured in rates.items():
        rate = statistics.median(measured)
        table.add_row(
            str(count),
            f"{rate:,.0f}",
            f"{statistics.median(latencies[count]):.1f}",
            f"{statistics.median(cpu[count]):.2f}",
            f"{rate / GOAL:.2f}",
            f"{rate / one:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
