"""A receiver of webhooks: keeps what arrives, and answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from infra import json

Behave = Callable[[dict[str, Any]], int | tuple[int, dict[str, str]] | None]
"""What to answer to an event: a status, with headers where they matter; None: nothing, ever."""


@dataclass
class Arrived:
    """A request."""

    line: str
    headers: dict[str, str]
    body: bytes
    event: dict[str, Any]


@dataclass
class Receiver:
    """`arrived` are all requests in order of arrival; `accepted` those answered with success."""

    behave: Behave = field(default=lambda event: 204)
    arrived: list[Arrived] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was accepted, by id, in the order of its first arrival."""
    connections: int = 0
    port: int = 0
    body: bytes = b""
    """What every answer carries."""

    @property
    def positions(self) -> list[int]:
        """Of what was accepted, each the first time."""
        return [it["position"] for it in self.first.values()]

    def by_record(self) -> dict[UUID, list[int]]:
        """The versions of each record in the order in which they were accepted, each the first time."""
        found: dict[UUID, list[int]] = {}
        for it in self.first.values():
            found.setdefault(UUID(it["subject"]), []).append(it["aggregateversion"])
        return found

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until so much has arrived."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - whatever arrives may bring it about
                await asyncio.sleep(0.01)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # A caller may well go away, or be ended with the test.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (it.partition(":") for it in head[1:]) if name
        }
        body = await reader.readexactly(int(headers["content-length"]))
        it = Arrived(head[0], headers, body, json.decode(body))
        self.arrived.append(it)
        told = self.behave(it.event)
        if told is None:
            await asyncio.Event().wait()
        assert told is not None
        status, more = told if isinstance(told, tuple) else (told, {})
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items())]
        if status != 204:
            lines.append(f"content-length: {len(self.body)}")
        if 200 <= status < 300:
            self.accepted.append(it.event)
            self.first.setdefault(headers.get("webhook-id", ""), it.event)
        writer.write("\r\n".join([*lines, "", ""]).encode() + (self.body if status != 204 else b""))
        await writer.drain()
        return True


@asynccontextmanager
async def receiving(
    behave: Behave = lambda event: 204, *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver(behave)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        await receiver.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for it in serving:
            it.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
