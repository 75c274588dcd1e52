"""Lethe as an operator runs it, every part in processes of its own, with two who follow it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from infra.kafka.broker import LocalBroker
from infra.postgres.embedded import EmbeddedPostgres
from tests.faults.fleet import Fleet
from tests.faults.proxy import Proxy, proxy_before
from tests.running import Lethe
from tests.soak.inbox import Inbox, inbox

STATES = ("customers", "tickets")
WEBHOOK_KINDS = ("customer", "ticket", "lead")
COMMAND_SECONDS_MAX = 180
CONDITION_SECONDS_MAX = 120


class Mirror:
    """A mirror's process; its file stays when it is started again."""

    def __init__(self, path: Path, token: str, *source: str) -> None:
        self.path = path
        self._token = token
        self._arguments = [str(path), *source]
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start it."""
        environment = {"PATH": os.environ["PATH"], "LETHE_TOKEN": self._token}
        with self.path.with_suffix(".log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.mirror", *self._arguments],
                env=environment, stdout=output, stderr=output,
            )  # fmt: skip

    def kill(self) -> None:
        """End it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


class Site:
    """One PostgreSQL, one broker, and everything that works between them.

    The API reaches PostgreSQL through a proxy, which can lose the answer to a COMMIT.
    """

    def __init__(
        self, folder: Path, url: str, proxy: Proxy, broker: LocalBroker, hooks: Inbox, *, members: int
    ) -> None:
        self.folder = folder
        self.url = url
        self.proxy = proxy
        self.broker = broker
        self.inbox = hooks
        self.namespace = f"soak-{uuid4().hex[:12]}"
        self.data = folder / "data"
        self.api = self._program("api", database_url=proxy.url)
        self.relays = [self._program("relay") for _ in range(members)]
        self.projectors = [self._program("project") for _ in range(members)]
        self.schedulers = [self._program("schedule") for _ in range(members)]
        self.mirrors: list[Mirror] = []
        self.webhook = ""
        self.registered_at = 0
        self.server: EmbeddedPostgres | None = None
        """Where the server is ours alone, and may be killed."""
        self._commands: list[Lethe] = []

    async def start(self, *, over_kafka: bool) -> None:
        """Everything, and those who follow it."""
        assert (await self.lethe("migrate"))[0] == 0
        for it in self.programs:
            it.launch()
        await asyncio.to_thread(self.api.start)
        async with self.admin() as http:
            hook = {"url": f"http://127.0.0.1:{self.inbox.port}/", "types": WEBHOOK_KINDS, "after": 0}
            self.webhook = (await _post(http, "/v1/webhooks", hook))["id"]
            sources: list[tuple[str, tuple[str, ...]]] = [("feed", ())]
            if over_kafka:
                sources.append(("kafka", (self.broker.address, self.namespace)))
            for name, source in sources:
                token = await _token(http, f"soak-{name}")
                self.mirrors.append(Mirror(self.folder / f"{name}.db", token, self.api.url, *source))
        for mirror in self.mirrors:
            mirror.launch()

    @property
    def programs(self) -> Sequence[Lethe]:
        """All but the API, which is waited for."""
        return [*self.relays, *self.projectors, *self.schedulers]

    def assert_alive(self) -> None:
        """Nobody had to be started again but who was killed on purpose."""
        for it in (self.api, *self.programs):
            assert it.process is not None
            assert it.process.poll() is None, f"{it.arguments} ended: {it.logged[-3_000:]}"
        for mirror in self.mirrors:
            assert mirror.process is not None
            assert mirror.process.poll() is None, mirror.path.with_suffix(".log").read_text()[-3_000:]

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[httpx.AsyncClient]:
        """Whoever may do everything, over HTTP."""
        async with httpx.AsyncClient(base_url=self.api.url, headers=self.api.headers, timeout=60) as http:
            yield http

    async def lethe(self, *arguments: str) -> tuple[int, Any]:
        """A command of the command line: its exit code, and its document."""
        it = self.begin(*arguments, "--json")
        assert it.process is not None
        code = await asyncio.to_thread(it.process.wait, COMMAND_SECONDS_MAX)
        return code, json.loads(it.said or "null")

    def begin(self, *arguments: str) -> Lethe:
        """The same, under way."""
        it = self._program(*arguments)
        it.launch()
        self._commands.append(it)
        return it

    def begun(self, command: str) -> bool:
        """Whether such a command was given."""
        return any(it.arguments[0] == command for it in self._commands)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What PostgreSQL answers."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def execute(self, statement: str) -> None:
        """Have PostgreSQL do something."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    async def until(self, condition: Any, what: str, seconds: float = CONDITION_SECONDS_MAX) -> None:
        """Wait for it. A database that is away just then is waited for, too."""
        found = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    with suppress(psycopg.OperationalError, httpx.TransportError):
                        found = await asyncio.to_thread(condition)
                        if found is True:
                            return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; last seen: {found}") from None

    @contextmanager
    def fleet(self) -> Iterator[Fleet]:
        """The relays, to see which of them publishes."""
        it = Fleet((self.url,))
        it.members = [relay.process for relay in self.relays if relay.process is not None]
        try:
            yield it
        finally:
            it.connection.close()

    def end(self) -> None:
        """Kill whatever still runs, by its process."""
        everything: list[Lethe | Mirror] = [self.api, *self.programs, *self._commands, *self.mirrors]
        for it in everything:
            if it.process is not None and it.process.poll() is None:
                it.kill()

    def _program(self, *arguments: str, **settings: str) -> Lethe:
        folder = self.folder / f"{arguments[0]}-{uuid4().hex[:8]}"
        folder.mkdir()
        common = {
            "data": str(self.data),
            "database_url": self.url,
            "kafka": self.broker.address,
            "namespace": self.namespace,
            "state_topics": ",".join(STATES),
            "webhook_networks": "127.0.0.0/8",
        }
        return Lethe(folder, *arguments, **common | settings)


@asynccontextmanager
async def site(
    folder: Path, url: str, broker: LocalBroker, *, members: int, over_kafka: bool
) -> AsyncIterator[Site]:
    """A site; whatever of it runs at the end is killed."""
    async with proxy_before(url) as proxy, inbox() as hooks:
        it = Site(folder, url, proxy, broker, hooks, members=members)
        try:
            await it.start(over_kafka=over_kafka)
            yield it
        finally:
            await asyncio.to_thread(it.end)


async def _token(http: httpx.AsyncClient, name: str) -> str:
    """A subscriber's, that may open names."""
    made = await _post(http, "/v1/subscribers", {"name": name, "purpose": "mirroring"})
    of = f"/v1/subscribers/{made['id']}"
    await _post(http, f"{of}/grant", {"categories": ["identity"]})
    return str((await _post(http, f"{of}/tokens", {}))["token"])


async def _post(http: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> Any:
    return (await http.post(path, json=body)).raise_for_status().json()
