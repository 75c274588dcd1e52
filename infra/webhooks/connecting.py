"""How connections to receivers are made: to the addresses that were looked at, and to no others."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import httpcore

from infra.webhooks.reach import NotAllowed, Reach

SocketOption: TypeAlias = Any
ADDRESSES_TRIED_MAX: Final = 3


class VettedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that were looked at. Name and certificate stay those of the URL's host."""

    def __init__(self, reach: Reach, *, plain: bool) -> None:
        self._reach = reach
        self._plain = plain
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = (await self._reach.addresses(host, port, plain=self._plain))[:ADDRESSES_TRIED_MAX]
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, share, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise NotAllowed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
