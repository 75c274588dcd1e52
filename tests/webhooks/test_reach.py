"""Webhooks reach nothing that only we can reach."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.webhooks.answers import Fault
from infra.webhooks.reach import NameNotFound, NotAllowed, Reach, networks_of, resolve
from infra.webhooks.sending import Sender
from tests.webhooks.receiver import receiving

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


def answering(*addresses: str) -> Reach:
    """As if every name had these addresses."""

    async def look_up(host: str, port: int) -> Sequence[str]:
        return addresses

    return Reach(resolve=look_up)


FORBIDDEN = {
    "loopback": "127.0.0.1",
    "the rest of loopback": "127.255.255.254",
    "unspecified": "0.0.0.0",  # noqa: S104 - refused
    "this network": "0.1.2.3",
    "private, class A": "10.0.0.1",
    "private, class B": "172.16.0.1",
    "the end of private, class B": "172.31.255.255",
    "private, class C": "192.168.1.1",
    "carrier-grade NAT": "100.64.0.1",
    "Alibaba's metadata": "100.100.100.200",
    "link-local": "169.254.1.1",
    "the metadata of clouds": "169.254.169.254",
    "Azure's wire server": "168.63.129.16",
    "protocol assignments": "192.0.0.1",
    "documentation": "192.0.2.1",
    "6to4 relays": "192.88.99.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "loopback, IPv6": "::1",
    "unspecified, IPv6": "::",
    "unique local": "fd00::1",
    "AWS's metadata, IPv6": "fd00:ec2::254",
    "link-local, IPv6": "fe80::1",
    "link-local with its zone": "fe80::1%eth0",
    "site-local": "fec0::1",
    "multicast, IPv6": "ff02::1",
    "IPv4-mapped loopback": "::ffff:127.0.0.1",
    "IPv4-mapped private": "::ffff:10.0.0.1",
    "IPv4-compatible": "::127.0.0.1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "local-use NAT64": "64:ff9b:1::1",
    "6to4": "2002:7f00:1::",
    "Teredo": "2001:0:7f00:1::",
    "documentation, IPv6": "2001:db8::1",
    "discard-only": "100::1",
}


@pytest.mark.parametrize("address", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_name_with_such_an_address_is_not_called(address: str) -> None:
    with pytest.raises(NotAllowed):
        await answering(address).addresses("hooks.example.com", 443, plain=False)
    # One good address beside it does not help: which of them is called would be a matter of luck.
    with pytest.raises(NotAllowed):
        await answering(PUBLIC, address).addresses("hooks.example.com", 443, plain=False)


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_6, "172.32.0.1", "100.128.0.1", "64:ff9b::5db8:d70e"])
async def test_the_public_internet_is_called_over_https(address: str) -> None:
    reach = answering(address)
    assert await reach.addresses("hooks.example.com", 443, plain=False) == (address,)
    with pytest.raises(NotAllowed):
        await reach.addresses("hooks.example.com", 80, plain=True)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "LOCALHOST", "[::1]"],
)
async def test_this_machine_is_not_called_under_any_of_its_names(host: str) -> None:
    async with receiving() as receiver:
        sender = Sender(Reach(), f"https://{host}:{receiver.port}/", connections=1)
        answer = await sender.post({}, b"{}")
        await sender.close()
        assert (answer.status, answer.fault) == (None, Fault.ADDRESS_NOT_ALLOWED)
        assert receiver.connections == 0


async def test_a_name_that_changes_its_address_after_the_look_is_not_followed() -> None:
    """DNS rebinding: the second answer would be this machine. There is no second question."""
    answers = ["127.0.0.2", "127.0.0.1"]
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [answers[min(len(asked) - 1, 1)]]

    async with receiving() as receiver:
        # 127.0.0.2 may be reached, and nobody listens there; 127.0.0.1 may not.
        reach = Reach(networks_of("127.0.0.2/32"), resolve=rebinding)
        sender = Sender(reach, f"http://hooks.example.com:{receiver.port}/", connections=1)
        answer = await sender.post({}, b"{}")
        assert answer.fault is Fault.CONNECTION_FAILED
        assert asked == ["hooks.example.com"]
        again = await sender.post({}, b"{}")
        await sender.close()
        assert again.fault is Fault.ADDRESS_NOT_ALLOWED
        assert receiver.connections == 0


@pytest.mark.parametrize(
    ("url", "networks", "fits"),
    [
        ("https://hooks.example.com/x", None, True),
        ("http://hooks.example.com/x", None, False),
        ("http://hooks.example.com/x", "10.0.0.0/8", True),
        ("https://hooks.example.com:8443/x", None, True),
        ("https://hooks.example.com:22/x", None, False),
        ("https://hooks.example.com:25/x", None, False),
        ("https://hooks.example.com:70000/x", None, False),
        ("https://127.0.0.1/x", None, False),
        ("https://10.1.2.3/x", None, False),
        ("https://10.1.2.3/x", "10.0.0.0/8", True),
        ("http://10.1.2.3/x", "10.0.0.0/8", True),
        ("https://10.1.2.3/x", "192.168.0.0/16", False),
        (f"https://{PUBLIC}/x", "192.168.0.0/16", True),
        (f"http://{PUBLIC}/x", "192.168.0.0/16", False),
        ("https://[::1]/x", None, False),
        ("https://[fd00:7::1]/x", "fd00:7::/48", True),
        ("https://169.254.169.254/x", "169.254.0.0/16", False),
        ("https://[fd00:ec2::254]/x", "fd00::/8", False),
        ("https://[::ffff:10.1.2.3]/x", "10.0.0.0/8", True),
    ],
)
def test_an_address_is_refused_by_its_text_where_that_says_enough(
    url: str, networks: str | None, fits: bool
) -> None:
    assert (Reach(networks_of(networks)).unfit(url) is None) is fits


async def test_a_name_without_an_address_is_not_found() -> None:
    with pytest.raises(NameNotFound):
        await answering().addresses("hooks.example.com", 443, plain=False)
    with pytest.raises(NameNotFound):
        await resolve("no-such-name.invalid", 443)


async def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    async def two(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.9", "127.0.0.1"]

    async with receiving() as receiver:
        reach = Reach(networks_of("127.0.0.0/8"), resolve=two)
        sender = Sender(reach, f"http://hooks.example.com:{receiver.port}/", connections=1)
        async with asyncio.timeout(30):
            answer = await sender.post({}, b"{}")
        await sender.close()
    assert answer.status == 204
