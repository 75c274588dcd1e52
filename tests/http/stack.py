"""The whole product behind its HTTP door, in a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from infra.access import EVERYTHING, Scope
from infra.audit.note import Cosigner
from infra.bootstrap import System, open_system
from infra.door import door_of
from infra.http.app import create_app
from infra.logging import configure
from infra.serving import listen, serve
from infra.settings import Settings
from infra.work import going_on, project_and_react

T = TypeVar("T")
START_SECONDS_MAX = 60
WITNESS = Cosigner("witness.example/w1", b"\x02" * 32)


class Running:
    """A server that runs, and a way to run something in its event loop."""

    def __init__(
        self, url: str, system: System, app: FastAPI, loop: asyncio.AbstractEventLoop, log: StringIO
    ) -> None:
        self.url, self.system, self.app, self.loop, self.log = url, system, app, loop, log

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(START_SECONDS_MAX)

    def token(self, *scopes: Scope) -> str:
        """A new token with these scopes; with all of them, where none is named."""
        granted = frozenset(scopes) or EVERYTHING
        return self.call(self.system.tokens.create(name="test", scopes=granted, actor_id=uuid4()))[1]

    def client(self, *scopes: Scope) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token(*scopes)}"}, timeout=30
        )


@contextmanager
def running(database_url: str, folder: Path) -> Iterator[Running]:
    """Serve on a free port, views following the log, until the block ends."""
    settings = Settings(
        data=folder,
        database_url=SecretStr(database_url),
        checkpoint_seconds=0.2,
        witnesses=WITNESS.vkey,
        webhook_networks="127.0.0.0/8",
    )
    log = StringIO()
    configure("debug", log)
    ready = threading.Event()
    box: list[Running] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        with listen("127.0.0.1", 0) as listening:
            async with (
                open_system(settings) as system,
                going_on(project_and_react(system), stop),
                door_of(system, stop) as door,
            ):
                app = create_app(door)
                url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                box.append(Running(url, system, app, asyncio.get_running_loop(), log))
                ready.set()
                await serve(app, listening, stop)

    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - raised again where the test waits
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="lethe")
    thread.start()
    ready.wait(START_SECONDS_MAX)
    try:
        if failures:
            raise failures[0]
        yield box[0]
    finally:
        loop, stop = stops[0]
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS_MAX)
    if failures:
        raise failures[0]
