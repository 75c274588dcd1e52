"""Webhooks over HTTP: what an administrator does with them, and what arrives."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from infra.webhooks.deliverer import Deliverer
from infra.webhooks.lease import GroupLease
from infra.webhooks.reach import NameNotFound, Reach, networks_of
from tests.http.samples import person
from tests.http.stack import Running
from tests.webhooks.receiver import Arrived, Behave, Receiver, receiving

HOOK = "https://hooks.example.com/lethe"


@pytest.fixture(scope="module")
def _delivering(server: Running) -> Iterator[None]:
    """A member of the group that sends. It knows no names: the addresses of other tests stay unused."""

    async def nowhere(host: str, port: int) -> Sequence[str]:
        if host != "127.0.0.1":
            raise NameNotFound
        return [host]

    system = server.system
    stop = server.call(_event())
    deliverer = Deliverer(
        GroupLease(system.database.url),
        system.webhook_store,
        system.webhooks,
        system.reader,
        Reach(networks_of("127.0.0.0/8"), resolve=nowhere),
        system.clock,
        "main",
    )
    running = _begin(server, deliverer.run(stop))
    yield
    server.loop.call_soon_threadsafe(stop.set)
    running.result(60)


async def _event() -> asyncio.Event:
    return asyncio.Event()


def _begin(server: Running, work: Any) -> "Future[Any]":
    return asyncio.run_coroutine_threadsafe(work, server.loop)


@dataclass
class Site:
    """A receiver that runs beside the server."""

    receiver: Receiver
    server: Running

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.receiver.port}/hook"

    def until(self, condition: Callable[[], bool]) -> None:
        self.server.call(self.receiver.until(condition, 50))


@pytest.fixture
def site(server: Running) -> Iterator[Site]:
    stop = server.call(_event())
    ready: Future[Receiver] = Future()

    async def serve() -> None:
        async with receiving() as receiver:
            ready.set_result(receiver)
            await stop.wait()

    running = _begin(server, serve())
    yield Site(ready.result(60), server)
    server.loop.call_soon_threadsafe(stop.set)
    running.result(60)


def register(api: httpx.Client, url: str, **more: Any) -> dict[str, Any]:
    answer = api.post("/v1/webhooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def verified(arrived: Arrived, *secrets: str) -> None:
    for secret in secrets:
        assert Webhook(secret).verify(arrived.body, arrived.headers)["id"] == arrived.headers["webhook-id"]


@pytest.mark.usefixtures("_delivering")
def test_what_happens_from_now_on_arrives_signed_as_in_the_feed(
    api: httpx.Client, site: Site, created: Any
) -> None:
    created("customers", person())
    made = register(api, site.url, types=["customer"], description="billing")
    customer = created("customers", person(name="Quirin Unverkennbar"))
    site.until(lambda: bool(site.receiver.arrived))
    (it,) = site.receiver.arrived
    verified(it, made["secret"])
    with pytest.raises(WebhookVerificationError):
        verified(it, register(api, HOOK)["secret"])
    feed = api.get("/v1/events", params={"after": customer["position"] - 1, "limit": 1}).json()["items"]
    assert it.event == feed[0]
    assert b"Quirin" not in it.body
    shown = wait_for(api, made, lambda shown: shown["cursor"] >= customer["position"])
    assert (shown["state"], shown["blocked"], shown["last_status"]) == ("active", 0, 204)


def wait_for(api: httpx.Client, made: dict[str, Any], condition: Callable[[Any], bool]) -> dict[str, Any]:
    shown: dict[str, Any] = {}

    def is_so() -> bool:
        shown.update(api.get(f"/v1/webhooks/{made['id']}").json())
        return condition(shown)

    until(is_so)
    return shown


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about."""
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_secret_is_shown_to_whoever_registers_and_to_nobody_else(api: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    answer = api.post("/v1/webhooks", json={"url": HOOK, "types": ["lead.won"]}, headers=key)
    again = api.post("/v1/webhooks", json={"url": HOOK, "types": ["lead.won"]}, headers=key)
    made = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"/v1/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert again.json() == made, "the first answer again: it may have been lost"
    for path in ("/v1/webhooks", answer.headers["location"], "/v1/events?types=webhook&limit=1000"):
        assert made["secret"] not in api.get(path).text
    shown = api.get(answer.headers["location"]).json()
    assert (shown["url"], shown["types"], shown["state"]) == (HOOK, ["lead.won"], "active")
    assert made["id"] in [it["id"] for it in api.get("/v1/webhooks").json()["items"]]


@pytest.mark.usefixtures("_delivering")
def test_a_new_secret_signs_beside_the_old_one_for_a_while(
    api: httpx.Client, site: Site, created: Any
) -> None:
    made = register(api, site.url, types=["lead"])
    rotated = api.post(f"/v1/webhooks/{made['id']}/rotate", headers={"If-Match": '"1"'}).json()

    def signed_by(secret: str) -> Arrived:
        """The first event that this secret signs: within a second or so whoever sends knows of it."""
        for number in range(1, 500):
            created("leads", {"source": "fair"})
            site.until(lambda: len(site.receiver.arrived) == number)  # noqa: B023
            try:
                verified(site.receiver.arrived[-1], secret)
            except WebhookVerificationError:
                continue
            return site.receiver.arrived.pop()
        raise AssertionError("it is never used")

    verified(signed_by(rotated["secret"]), made["secret"])
    site.receiver.arrived.clear()
    newest = api.post(f"/v1/webhooks/{made['id']}/rotate", json={"overlap_hours": 0}).json()
    assert len({made["secret"], rotated["secret"], newest["secret"]}) == 3
    with_newest = signed_by(newest["secret"])
    verified(with_newest, made["secret"])
    with pytest.raises(WebhookVerificationError):
        verified(with_newest, rotated["secret"])


@pytest.mark.usefixtures("_delivering")
def test_a_receiver_that_is_gone_is_parked_shown_and_resumed(
    api: httpx.Client, site: Site, created: Any
) -> None:
    gone: Behave = lambda event: 410  # noqa: E731
    site.receiver.behave = gone
    made = register(api, site.url, types=["lead"])
    lead = created("leads", {"source": "fair"})
    shown = wait_for(api, made, lambda it: it["state"] == "parked")
    assert (shown["cause"], shown["last_status"], shown["last_fault"]) == ("gone", 410, "refused")
    assert shown["blocked"] == 1
    assert f'lethe_webhook_blocked{{webhook="{made["id"]}"}} 1.0' in api.get("/metrics").text
    assert api.get("/readyz").status_code == 200
    history = api.get("/v1/events", params={"after": lead["position"], "types": "webhook"}).json()["items"]
    assert [(it["type"], it["actor"]) for it in history] == [("webhook.parked", "lethe-webhooks")]
    replayed = api.post(f"/v1/webhooks/{made['id']}/replay", json={"after": 0})
    assert replayed.json()["type"] == "urn:lethe:problem:webhook-is-parked"
    site.receiver.behave = lambda event: 204
    assert api.post(f"/v1/webhooks/{made['id']}/resume").status_code == 200
    site.until(lambda: bool(site.receiver.accepted))
    assert site.receiver.accepted[0]["subject"] == lead["id"]


@pytest.mark.usefixtures("_delivering")
def test_a_replay_sends_again_what_came_after_a_position(api: httpx.Client, site: Site, created: Any) -> None:
    lead = created("leads", {"source": "fair"})
    made = register(api, site.url, types=["lead"])
    replayed = api.post(f"/v1/webhooks/{made['id']}/replay", json={"after": lead["position"] - 1})
    assert replayed.status_code == 200
    site.until(lambda: bool(site.receiver.accepted))
    assert site.receiver.accepted[0]["position"] == lead["position"]


@pytest.mark.usefixtures("_delivering")
def test_a_change_counts_from_then_on_and_a_removal_for_good(
    server: Running, api: httpx.Client, site: Site, created: Any
) -> None:
    made = register(api, HOOK, types=["lead"])
    place = f"/v1/webhooks/{made['id']}"
    assert api.post(f"{place}/change", json={"url": site.url, "types": ["ticket"]}).status_code == 200
    api.post(f"/v1/leads/{created('leads', {'source': 'fair'})['id']}/contact")
    wait_for(api, made, lambda it: it["lag"] == 0)
    assert site.receiver.arrived == []
    assert api.post(f"{place}/remove").status_code == 200
    assert api.get(place).status_code == 404
    assert api.post(f"{place}/resume").json()["type"] == "urn:lethe:problem:webhook-is-removed"
    # Its secret and its progress go with it.
    until(lambda: server.call(_kept(server, made["id"])) == 0)


async def _kept(server: Running, id: str) -> int:
    async with server.system.pool.connection() as connection:
        found = await connection.execute(
            "SELECT (SELECT count(*) FROM webhooks.secrets WHERE webhook_id = %(id)s)"
            " + (SELECT count(*) FROM webhooks.deliveries WHERE webhook_id = %(id)s)",
            {"id": id},
        )
        row = await found.fetchone()
    return int(row[0]) if row else 0


def test_a_ping_says_what_came_of_it(api: httpx.Client, site: Site) -> None:
    made = register(api, site.url)
    answer = api.post(f"/v1/webhooks/{made['id']}/ping").json()
    (it,) = [one for one in site.receiver.arrived if one.event["type"] == "lethe.ping"]
    verified(it, made["secret"])
    assert (answer["arrived"], answer["status"], answer["fault"]) == (True, 204, None)
    assert answer["event_id"] == it.headers["webhook-id"]
    site.receiver.behave = lambda event: 500
    failed = api.post(f"/v1/webhooks/{made['id']}/ping").json()
    assert (failed["arrived"], failed["status"], failed["fault"]) == (False, 500, "refused")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("ftp://hooks.example.com/", 422),
        ("https://user:secret@hooks.example.com/", 422),
        ("https://hooks.example.com/?token=secret", 409),
        ("https://hooks.example.com/#secret", 409),
        ("https://hooks.example.com:22/", 409),
        ("https://10.0.0.1/", 409),
        ("https://169.254.169.254/latest/meta-data/", 409),
        ("https://[::1]/", 409),
        (f"http://{'93.184.215.14'}/", 409),
    ],
)
def test_an_address_that_webhooks_do_not_go_to_is_refused(api: httpx.Client, url: str, status: int) -> None:
    answer = api.post("/v1/webhooks", json={"url": url})
    assert answer.status_code == status
    assert "secret" not in answer.text
