"""Where webhooks may go: over https to the public internet, and where the operator says so.

Whoever registers an address makes us call it (server-side request forgery). So a name is looked up by us,
each of its addresses is looked at, and the connection goes to one of those and to no other: a second look-up,
which may answer differently (DNS rebinding), never happens. The lists follow IANA's registries of
special-purpose addresses.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

PORTS_ALWAYS: Final = frozenset({80, 443})
PORT_MIN: Final = 1024
"""Below it only the two ports of the web: no mail server or directory is made to listen to us."""

NOT_PUBLIC: Final = tuple(
    IPv4Network(it)
    for it in (
        "0.0.0.0/8",  # this network; on Linux 0.0.0.0 is this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service is in it
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, with most clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
PUBLIC_6: Final = IPv6Network("2000::/3")
"""All of IPv6 that is given out; everything else is special, or not in use."""
NOT_PUBLIC_6: Final = tuple(
    IPv6Network(it)
    for it in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside, by way of a stranger's relay
        "3fff::/20",
    )
)
NAT64: Final = IPv6Network("64:ff9b::/96")
METADATA: Final[frozenset[Address]] = frozenset(
    ip_address(it)
    for it in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")
)
"""Services that hand out a cloud's credentials: never, whatever the operator allows."""


class NotAllowed(Exception):
    """Webhooks do not go to this address."""


class NameNotFound(Exception):
    """The host has no address."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system knows them. Raises `NameNotFound`."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise NameNotFound from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Reach:
    """What may be reached. In the `networks` of the operator also private addresses, and without TLS."""

    def __init__(self, networks: Iterable[Network] = (), resolve: Resolve = resolve) -> None:
        self._networks = tuple(networks)
        self.resolve = resolve

    def unfit(self, url: str) -> str | None:
        """What speaks against an address by its text alone; None: nothing."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return "The port is none."
        if parts.scheme != "https" and not self._networks:
            return "Webhooks go over https."
        if port not in PORTS_ALWAYS and port < PORT_MIN:
            return f"Webhooks go to the ports 80 and 443, and from {PORT_MIN} on."
        try:
            self.check(ip_address(parts.hostname or ""), plain=parts.scheme != "https")
        except NotAllowed:
            return "Webhooks do not go to this address."
        except ValueError:
            return None  # a name: its addresses are looked at each time that it is called
        return None

    def check(self, address: Address, *, plain: bool) -> None:
        """Raises `NotAllowed`. `plain`: without TLS."""
        inner = _inner(address)
        if METADATA.isdisjoint({address, inner}):
            if any(inner in it for it in self._networks if it.version == inner.version):
                return
            if not plain and _is_public(inner):
                return
        raise NotAllowed

    async def addresses(self, host: str, port: int, *, plain: bool) -> Sequence[str]:
        """Where to connect to. Raises `NotAllowed` where any address of the host is, or `NameNotFound`."""
        found = await self.resolve(host, port)
        for it in found:
            self.check(ip_address(it.partition("%")[0]), plain=plain)
        if not found:
            raise NameNotFound
        return found


def _inner(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in it for it in NOT_PUBLIC)
    return address in PUBLIC_6 and not any(address in it for it in NOT_PUBLIC_6)


def networks_of(text: str | None) -> tuple[Network, ...]:
    """The networks of the setting, by comma. Raises `ValueError`."""
    return tuple(ip_network(it.strip()) for it in (text or "").split(",") if it.strip())
