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
    status: int | None

    @property
    def event(self) -> dict[str, Any]:
        said: dict[str, Any] = json.decode(self.body)
        return said


@dataclass
class Receiver:
    """`arrived` are all requests in order of arrival; `accepted` those answered with success."""

    behave: Behave = field(default=lambda event: 204)
    arrived: list[Arrived] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    body: bytes = b""
    """What every answer carries."""

    @property
    def accepted(self) -> list[dict[str, Any]]:
        return [it.event for it in self.arrived if it.status is not None and 200 <= it.status < 300]

    @property
    def positions(self) -> list[int]:
        """Of what was accepted, each the first time."""
        return list(dict.fromkeys(it["position"] for it in self.accepted))

    def by_record(self) -> dict[UUID, list[int]]:
        """The versions of each record in the order in which they were accepted, each the first time."""
        found: dict[UUID, list[int]] = {}
        for it in {event["id"]: event for event in reversed(self.accepted)}.values():
            found.setdefault(UUID(it["subject"]), [])
        seen: set[str] = set()
        for it in self.accepted:
            if it["id"] not in seen:
                seen.add(it["id"])
                found[UUID(it["subject"])].append(it["aggregateversion"])
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
        it = Arrived(head[0], headers, body, None)
        self.arrived.append(it)
        told = self.behave(it.event)
        if told is None:
            await asyncio.Event().wait()
        status, more = told if isinstance(told, tuple) else (told, {})
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items())]
        if status != 204:
            lines.append(f"content-length: {len(self.body)}")
        it.status = status
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
