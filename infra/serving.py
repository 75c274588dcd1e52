"""Serves the HTTP door: in this process, or in several that share one listening socket."""

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

import structlog
import uvicorn
from fastapi import FastAPI

from infra import logging as product_logging
from infra.bootstrap import CannotStart, System, open_system
from infra.door import door_of
from infra.eventloop import run
from infra.http.app import create_app
from infra.settings import Settings

SHUTDOWN_SECONDS_MAX = 10
BACKLOG = 1024

log = structlog.get_logger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `CannotStart` where the address is taken."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    # Headers and body leave in two writes: else the second waits 40 ms until the first is acknowledged.
    # Accepted sockets inherit it; asyncio's own loop, unlike uvloop, does not set it on a socket made so.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.set_inheritable(True)
    return listening


class _Server(uvicorn.Server):
    """A server that leaves the signals to the process it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer requests until `stop` is set; those under way are finished, for 10 s at most."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
        lifespan="off",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()


async def serve_system(system: System, listening: socket.socket, stop: asyncio.Event) -> None:
    """The door of this system, with the name index that it needs beside it."""
    async with door_of(system, stop) as door:
        await serve(create_app(door), listening, stop)


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def start_workers(settings: Settings, listening: socket.socket, count: int) -> list[BaseProcess]:
    """API processes of their own, all accepting from the one socket."""
    context = multiprocessing.get_context("spawn")
    workers: list[BaseProcess] = []
    for number in range(count):
        worker = context.Process(
            target=_work, args=(settings, listening), name=f"lethe-api-{number}", daemon=True
        )
        worker.start()
        workers.append(worker)
    return workers


def _work(settings: Settings, listening: socket.socket) -> None:
    product_logging.configure(settings.log_level)
    run(_serve_own_system(settings, listening))


async def _serve_own_system(settings: Settings, listening: socket.socket) -> None:
    stop = stop_on_signals()
    starter = multiprocessing.parent_process()
    if starter is not None:
        # Killed, it cannot tell us to stop, and nobody else could listen where we do.
        asyncio.get_running_loop().add_reader(starter.sentinel, stop.set)
    async with open_system(settings, migrated=False, behind=True) as system:
        await serve_system(system, listening, stop)


async def keep_workers(settings: Settings, listening: socket.socket, count: int, stop: asyncio.Event) -> None:
    """Run `count` API processes until `stop` is set; one that dies is replaced."""
    workers = start_workers(settings, listening, count)
    try:
        while not stop.is_set():
            for number, worker in enumerate(workers):
                if not worker.is_alive():
                    log.error("worker_died", work=worker.name, exit_code=worker.exitcode)
                    workers[number] = start_workers(settings, listening, 1)[0]
            try:
                async with asyncio.timeout(0.5):
                    await stop.wait()
            except TimeoutError:
                continue
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            await asyncio.to_thread(worker.join, SHUTDOWN_SECONDS_MAX + 2)
