"""A TCP proxy before a PostgreSQL Unix socket that can lose the answer to a COMMIT, or every line."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# CommandComplete, protocol 3.0: the type, the length, the tag.
COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
SELECTED = b"SELECT "
CHUNK = 65536


@dataclass
class Proxy:
    """`loses` says for each answer to a COMMIT at how many answers, from this one on, the line is cut."""

    socket: Path
    database: str
    loses: Callable[[], int] = lambda: 0
    lost: int = 0
    still_to_lose: int = 0
    port: int = 0
    _lines: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self.database}?sslmode=disable"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new lines and cut those there are."""
        if self._server is not None:
            self._server.close()
        for line in list(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            upstream, server = await asyncio.open_unix_connection(self.socket)
        except OSError:  # the server is away: the caller is to hear of it
            writer.transport.abort()
            self._lines.discard(task)
            return
        ways = [
            asyncio.create_task(_pass_on(reader, server, lambda _: False)),
            asyncio.create_task(_pass_on(upstream, writer, self._cuts)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (server, writer):
                end.transport.abort()
            self._lines.discard(task)

    def _cuts(self, chunk: bytes) -> bool:
        if COMMITTED in chunk and not self.still_to_lose:
            self.still_to_lose = self.loses()
            self.lost += self.still_to_lose > 0
        elif SELECTED not in chunk:
            return False
        if not self.still_to_lose:
            return False
        self.still_to_lose -= 1
        return True


async def _pass_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, cuts: Callable[[bytes], bool]
) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK):
            if cuts(chunk):
                return
            target.write(chunk)
            await target.drain()


@asynccontextmanager
async def proxy_before(database_url: str) -> AsyncIterator[Proxy]:
    """A proxy before the database that `database_url` names by its Unix socket."""
    url = urlsplit(database_url)
    socket = Path(parse_qs(url.query)["host"][0]) / ".s.PGSQL.5432"
    proxy = Proxy(socket, url.path.lstrip("/"))
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def one_of(losses: Sequence[int], seed: int) -> Callable[[], int]:
    """A die that falls the same way in every run."""
    die = random.Random(seed)
    return lambda: die.choice(losses)
