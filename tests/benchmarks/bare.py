"""The peer of the read benchmark: FastAPI routes that answer the same bytes, and do nothing else."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
import uvicorn
from fastapi import FastAPI, Response

from infra import json
from infra.eventloop import run

START_SECONDS_MAX: Final = 30
RECORD: Final = {"id": "0" * 36, "filling": "x" * 640}
ONE: Final = json.encode(RECORD)
PAGE: Final = json.encode({"items": [RECORD] * 50, "next": None})

app = FastAPI()


@app.get("/v1/customers")
async def page(limit: int, cursor: str) -> Response:
    """As large as a page of customers."""
    return Response(PAGE, media_type="application/json")


@app.get("/v1/customers/{id}")
async def one(id: str) -> Response:
    """As large as a customer."""
    return Response(ONE, media_type="application/json")


@contextmanager
def bare_routes(processes: int) -> Iterator[tuple[int, psutil.Process]]:
    """So many processes that serve the routes on one port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        port = listening.getsockname()[1]
        command = [sys.executable, "-m", "tests.benchmarks.bare", str(listening.fileno())]
        started = [subprocess.Popen(command, pass_fds=[listening.fileno()]) for _ in range(processes)]
        try:
            _await_answer(port)
            yield port, psutil.Process(os.getpid())
        finally:
            for it in started:
                it.terminate()
                it.wait()


def _await_answer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS_MAX) as probe:
        probe.sendall(b"GET /v1/customers/0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if b" 200 " not in probe.recv(100):
            raise RuntimeError("the bare routes do not answer")
    time.sleep(0.5)  # the other process is as far by now


if __name__ == "__main__":
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, lifespan="off")
    run(uvicorn.Server(config).serve(sockets=[socket.socket(fileno=int(sys.argv[1]))]))
