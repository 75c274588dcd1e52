"""One attempt: what is sent, signed by the specification, and what is made of the answer."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from infra.webhooks import sending, signing
from infra.webhooks.answers import Answer, Fault
from infra.webhooks.reach import Reach, networks_of
from infra.webhooks.sending import Sender, retry_after
from tests.webhooks.receiver import Receiver, receiving

HERE = networks_of("127.0.0.0/8")
NOW = datetime.now(UTC)
BODY = b'{"type":"lead.won"}'


async def look_up(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


REACH = Reach(HERE, resolve=look_up)


async def sent(receiver: Receiver, path: str = "/", headers: dict[str, str] | None = None) -> Answer:
    sender = Sender(REACH, f"http://hooks.example.com:{receiver.port}{path}", connections=1)
    try:
        return await sender.post(headers or {}, BODY)
    finally:
        await sender.close()


def test_the_specifications_own_verifier_takes_the_signature() -> None:
    secret = signing.mint()
    headers = signing.signed([secret], "msg_1", int(NOW.timestamp()), BODY)
    assert Webhook(signing.text_of(secret)).verify(BODY, headers) == {"type": "lead.won"}


def test_while_a_secret_rotates_both_verify_and_a_third_does_not() -> None:
    new, old, other = signing.mint(), signing.mint(), signing.mint()
    headers = signing.signed([new, old], "msg_1", int(NOW.timestamp()), BODY)
    for secret in (new, old):
        Webhook(signing.text_of(secret)).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.text_of(other)).verify(BODY, headers)


@pytest.mark.parametrize("change", [{"webhook-id": "msg_2"}, {"webhook-timestamp": "1"}])
def test_id_and_time_are_signed_too(change: dict[str, str]) -> None:
    secret = signing.mint()
    headers = signing.signed([secret], "msg_1", int(NOW.timestamp()), BODY) | change
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.text_of(secret)).verify(BODY, headers)


async def test_a_request_is_a_post_with_the_hosts_own_name() -> None:
    async with receiving() as receiver:
        answer = await sent(receiver, "/a/b", {"webhook-id": "msg_1"})
        (it,) = receiver.arrived
    assert answer == Answer(204)
    assert it.line == "POST /a/b HTTP/1.1"
    assert it.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert it.headers["content-type"] == "application/cloudevents+json"
    assert it.headers["webhook-id"] == "msg_1"
    assert it.body == BODY


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (200, Answer(200)),
        (202, Answer(202)),
        (301, Answer(301, Fault.REDIRECTED)),
        (400, Answer(400, Fault.REFUSED)),
        (410, Answer(410, Fault.REFUSED)),
        (500, Answer(500, Fault.REFUSED)),
        ((503, {"retry-after": "120"}), Answer(503, Fault.REFUSED, 120.0)),
        ((429, {"Retry-After": "soon"}), Answer(429, Fault.REFUSED)),
    ],
)
async def test_an_answer_is_a_status_and_when_to_come_back(told: Any, answer: Answer) -> None:
    async with receiving(lambda event: told) as receiver:
        assert await sent(receiver) == answer


async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as other:
        elsewhere = {"location": f"http://hooks.example.com:{other.port}/"}
        async with receiving(lambda event: (307, elsewhere)) as receiver:
            assert (await sent(receiver)).fault is Fault.REDIRECTED
        assert other.arrived == []


async def test_connections_are_used_again() -> None:
    async with receiving(lambda event: 200) as receiver:
        receiver.body = b"thanks"
        sender = Sender(REACH, f"http://hooks.example.com:{receiver.port}/", connections=1)
        for _ in range(3):
            await sender.post({}, BODY)
        await sender.close()
    assert (len(receiver.arrived), receiver.connections) == (3, 1)


async def test_an_answer_without_an_end_costs_little() -> None:
    async with receiving(lambda event: 200) as receiver:
        receiver.body = b"x" * 50_000_000
        assert (await sent(receiver)).status == 200
        answer = await sent(receiver)
    assert answer.status == 200
    assert receiver.connections == 2, "what was not read to its end is not used again"


async def test_whoever_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "ATTEMPT_SECONDS_MAX", 0.2)
    async with receiving(lambda event: None) as receiver:
        assert await sent(receiver) == Answer(fault=Fault.TIMED_OUT)


async def test_whoever_breaks_off_is_a_fault_of_its_own() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = Sender(REACH, f"http://hooks.example.com:{port}/", connections=1)
    assert await sender.post({}, BODY) == Answer(fault=Fault.BROKEN_OFF)
    await sender.close()
    server.close()
    nobody = Sender(REACH, f"http://hooks.example.com:{port}/", connections=1)
    assert await nobody.post({}, BODY) == Answer(fault=Fault.CONNECTION_FAILED)
    await nobody.close()


def test_a_receiver_says_when_to_come_back() -> None:
    assert retry_after("90") == 90
    assert retry_after(format_datetime(NOW + timedelta(seconds=60), usegmt=True), NOW) == pytest.approx(
        60, abs=1
    )
    assert retry_after(format_datetime(NOW - timedelta(seconds=60), usegmt=True), NOW) == 0
    assert retry_after("9" * 40) == sending.RETRY_AFTER_SECONDS_MAX
    assert retry_after("-1") is None
    assert retry_after("tomorrow") is None


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server of that name, and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, private)
    return server, ssl.create_default_context(cafile=str(chain))


async def test_the_certificate_is_that_of_the_name_while_the_address_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = certificate(tmp_path, "hooks.example.com")
    asked: list[str | None] = []
    server.sni_callback = lambda connection, name, context: asked.append(name)
    monkeypatch.setattr(sending, "tls", lambda: client)
    async with receiving(tls=server) as receiver:
        for host, answer in (
            ("hooks.example.com", Answer(204)),
            ("other.example.com", Answer(fault=Fault.TLS_FAILED)),
        ):
            sender = Sender(REACH, f"https://{host}:{receiver.port}/", connections=1)
            assert await sender.post({}, BODY) == answer
            await sender.close()
        assert [it.headers["host"] for it in receiver.arrived] == [f"hooks.example.com:{receiver.port}"]
    assert asked == ["hooks.example.com", "other.example.com"]


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, "hooks.example.com")
    async with receiving(tls=server) as receiver:
        sender = Sender(REACH, f"https://hooks.example.com:{receiver.port}/", connections=1)
        assert await sender.post({}, BODY) == Answer(fault=Fault.TLS_FAILED)
        await sender.close()
