"""The whole path: HTTP, the log, Kafka, the views, and back; and a person who is forgotten on the way."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from domain.erasure.events import SubjectErased
from infra.bootstrap import open_system
from infra.kafka.broker import LocalBroker
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.views.tables import VIEWS
from infra.rebuild import Rebuilder
from infra.settings import load
from tests.running import Lethe
from tests.streams import assert_whole, logged, published

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]
PATIENCE_SECONDS = 60
EUR = {"amount": "1250.00", "currency": "EUR"}
MAYA = {
    "kind": "person", "source": "fair", "lawful_basis": "contract", "purpose": "orders",
    "name": "Maya Brandt", "email": "maya@example.com", "phone": "+49 30 901820",
}  # fmt: skip
JONAS = {
    "source": "fair", "product": "GTX Pro", "name": "Jonas Okafor",
    "email": "jonas@example.com", "phone": "+44 20 7946 0018", "note": "Met at the fair.",
}  # fmt: skip
STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("contact", {"channel": "phone", "note": "Wants an offer by Friday."}),
    ("qualify", {"value": EUR}),
    ("propose", {"value": EUR}),
    ("win", {"value": EUR, "reason": "The only one with a spare part store."}),
)


@pytest.fixture
def lethe(broker: LocalBroker) -> Iterator[Lethe]:
    """Everything in one process, over Kafka."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Lethe(Path(folder), kafka=broker.address, namespace=f"whole-{uuid4().hex[:12]}") as lethe,
    ):
        lethe.start()
        yield lethe


@pytest.fixture
def http(lethe: Lethe) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=lethe.url, headers=lethe.headers, timeout=30) as http:
        yield http


async def test_a_lead_becomes_a_customer_and_is_forgotten_and_the_history_stands(
    lethe: Lethe, http: httpx.Client, broker: LocalBroker
) -> None:
    maya = command(http, "/v1/customers", MAYA)
    lead = command(http, "/v1/leads", JONAS)
    for verb, body in STEPS:
        command(http, f"/v1/leads/{lead['id']}/{verb}", body)

    customer = customer_of(http, lead)
    assert customer["subject_id"] == lead["subject_id"]
    assert (customer["name"], customer["lead_id"]) == ("Jonas Okafor", lead["id"])
    assert won(http) == (1, [EUR])
    before = read(http, f"/v1/leads/{lead['id']}/timeline")["items"]
    assert [it["type"] for it in before] == [
        "lead.captured", "lead.contacted", "lead.qualified", "lead.proposed", "lead.won", "lead.linked",
    ]  # fmt: skip
    assert [it["version"] for it in before] == [1, 2, 3, 4, 5, 6]
    assert before[0]["personal"]["name"] == "Jonas Okafor"
    assert before[4]["reason"] == "The only one with a spare part store."
    assert names_found(http, "Okafor") == ["Jonas Okafor"]
    assert looked_up(http, "jonas@example.com") == [customer["id"]]

    erasure = command(http, f"/v1/subjects/{lead['subject_id']}/erasure", {"ground": "consent_withdrawn"})

    assert_forgotten(http, lead, customer, erasure["position"])
    assert names_found(http, "Brandt") == ["Maya Brandt"]
    assert looked_up(http, "maya@example.com") == [maya["id"]]
    assert won(http) == (1, [EUR])
    after = read(http, f"/v1/leads/{lead['id']}/timeline")["items"]
    assert [it["type"] for it in after] == [it["type"] for it in before]
    assert after[0]["personal"]["name"] == {"erased": True, "category": "identity"}
    assert after[4]["reason"] == {"erased": True, "category": "conversation"}
    assert read(http, f"/v1/subjects/{lead['subject_id']}")["erased"]

    url = EmbeddedPostgres(Path(lethe.settings["LETHE_DATA"]) / "postgres").url
    assert_on_kafka(http, broker, lethe.settings["LETHE_NAMESPACE"], url)
    await assert_views_are_what_the_log_says(lethe)
    assert_forgotten(http, lead, customer, erasure["position"])
    assert lethe.stop()[0] == 0


def command(http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Run it, and again under the same key, which changes nothing; the answer."""
    headers = {"Idempotency-Key": str(uuid4())}
    response = http.post(path, json=body, headers=headers)
    assert response.is_success, response.text
    assert http.post(path, json=body, headers=headers).json() == response.json()
    answer: dict[str, Any] = response.json()
    seen = http.get("/v1/leads", params={"at_least": answer["position"], "limit": 1})
    assert seen.is_success, seen.text
    return answer


def read(http: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    response = http.get(path, params=query)
    assert response.is_success, response.text
    found: dict[str, Any] = response.json()
    return found


def customer_of(http: httpx.Client, lead: dict[str, Any]) -> dict[str, Any]:
    """The customer that the reaction registers for the won lead, and links."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (id := read(http, f"/v1/leads/{lead['id']}")["customer_id"]):
        assert time.monotonic() < deadline, "the won lead has got no customer"
        time.sleep(0.05)
    return read(http, f"/v1/customers/{id}")


def won(http: httpx.Client) -> tuple[int, list[dict[str, str]]]:
    """How many leads are won, and for how much."""
    [stage] = [it for it in read(http, "/v1/pipeline")["stages"] if it["stage"] == "won"]
    return stage["count"], stage["values"] if "values" in stage else [stage["value"]]


def names_found(http: httpx.Client, words: str) -> list[str]:
    return [it["name"] for it in read(http, "/v1/customers", q=words)["items"]]


def looked_up(http: httpx.Client, email: str) -> list[str]:
    response = http.post("/v1/customers/lookup", json={"email": email})
    assert response.is_success, response.text
    return [it["id"] for it in response.json()["items"]]


def assert_forgotten(
    http: httpx.Client, lead: dict[str, Any], customer: dict[str, Any], position: int
) -> None:
    for kind, record in (("leads", lead), ("customers", customer)):
        gone = http.get(f"/v1/{kind}/{record['id']}", params={"at_least": position})
        assert gone.status_code == 410
        assert gone.json()["timeline"] == f"/v1/{kind}/{record['id']}/timeline"
        [listed] = [it for it in read(http, f"/v1/{kind}")["items"] if it["id"] == record["id"]]
        assert listed["erased"]
        assert (listed["name"], listed["email"], listed["phone"]) == (None, None, None)
    assert names_found(http, "Okafor") == []
    assert looked_up(http, "jonas@example.com") == []


def assert_on_kafka(http: httpx.Client, broker: LocalBroker, namespace: str, url: str) -> None:
    """The topics hold what the log holds, the erasure included, and not a name."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "lethe_relay_lag_positions" not in (metrics := http.get("/metrics").text) or not all(
        line.endswith(" 0.0") for line in metrics.splitlines() if line.startswith("lethe_relay_lag_positions")
    ):
        assert time.monotonic() < deadline, metrics
        time.sleep(0.1)
    delivered = published(broker.address, namespace)
    assert_whole(delivered, logged(url))
    assert SubjectErased.TOPIC in {it.topic for it in delivered}
    assert not any(b"Jonas" in it.state or b"Maya" in it.state for it in delivered)


async def assert_views_are_what_the_log_says(lethe: Lethe) -> None:
    """Fed from Kafka, they equal the same views built from the log."""
    settings = load(
        data=Path(lethe.settings["LETHE_DATA"]),
        namespace=lethe.settings["LETHE_NAMESPACE"],
        kafka=lethe.settings["LETHE_KAFKA"],
    )
    async with open_system(settings) as system:
        rebuilder = Rebuilder(system.pool, system.reader, system.mapper, system.unsealer, system.blind)
        reports = [await rebuilder.rebuild(view) for view in VIEWS]
    assert [it.view for it in reports if not it.equal] == []
    assert sum(it.rows for it in reports) > 0
