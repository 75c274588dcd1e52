"""The feed: what happened, as CloudEvents, in order, nothing personal in clear."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from infra.access import Scope
from infra.http import feed
from infra.http.app import create_app
from infra.tide import Tide
from services.ports import Unavailable
from tests.http.samples import person
from tests.http.stack import Running


def shown(api: httpx.Client, position: int) -> None:
    """Return once the feed has come so far: it waits for others' transactions, a command does not."""
    query = {"after": position - 1, "limit": 1, "wait": 30}
    assert api.get("/v1/events", params=query).json()["items"]


def types_of(api: httpx.Client, types: str, *, after: int, to: int) -> list[str]:
    """The types of the events asked for, page by page, each going on where the last one said."""
    found: list[str] = []
    while after < to:
        page = api.get("/v1/events", params={"after": after, "types": types}).json()
        assert page["next"] > after
        found, after = found + [it["type"] for it in page["items"]], page["next"]
    return found


def test_events_come_in_order_and_go_on_where_the_last_answer_ended(api: httpx.Client, created: Any) -> None:
    made = [created("customers", person()) for _ in range(3)]
    shown(api, made[-1]["position"])
    after = made[0]["position"] - 1
    first = api.get("/v1/events", params={"after": after, "limit": 2}).json()
    rest = api.get("/v1/events", params={"after": first["next"]}).json()
    assert [it["position"] for it in first["items"] + rest["items"]] == [it["position"] for it in made]
    assert [it["subject"] for it in first["items"] + rest["items"]] == [it["id"] for it in made]
    end = api.get("/v1/events", params={"after": rest["next"]}).json()
    assert end == {"items": [], "next": rest["next"]}


def test_an_event_is_a_cloud_event_with_its_boxes_closed(api: httpx.Client, created: Any) -> None:
    made = created("customers", person(name="Quirin Unverkennbar", email="quirin@example.com"))
    shown(api, made["position"])
    answer = api.get("/v1/events", params={"after": made["position"] - 1, "limit": 1})
    (event,) = answer.json()["items"]
    assert event["specversion"] == "1.0"
    assert event["type"] == "customer.registered"
    assert event["source"] == "/lethe/main"
    assert event["aggregateversion"] == 1
    assert event["data"]["lawful_basis"] == "contract"
    assert {(it["category"], tuple(it["fields"])) for it in event["data"]["sealed"]} == {
        ("identity", ("name",)),
        ("contact", ("email",)),
    }
    assert "quirin" not in answer.text.lower()


def test_only_the_types_asked_for_come_and_the_position_goes_on(api: httpx.Client, created: Any) -> None:
    first = created("customers", person())
    lead = created("leads", {"source": "fair"})
    contact = api.post(f"/v1/leads/{lead['id']}/contact").json()
    shown(api, contact["position"])
    place = {"after": first["position"] - 1, "to": contact["position"]}
    assert types_of(api, "lead", **place) == ["lead.captured", "lead.contacted"]
    assert types_of(api, "lead.contacted,ticket.opened", **place) == ["lead.contacted"]
    assert types_of(api, "member", **place) == []


def test_a_long_poll_ends_with_the_next_event(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    later: list[dict[str, Any]] = []
    writer = threading.Timer(0.5, lambda: later.append(created("customers", person())))
    writer.start()
    started = time.monotonic()
    answer = api.get("/v1/events", params={"after": made["position"], "wait": 20}).json()
    took = time.monotonic() - started
    writer.join()
    assert [it["subject"] for it in answer["items"]] == [later[0]["id"]]
    assert took < 10


def test_a_long_poll_ends_when_its_time_is_up(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    answer = api.get("/v1/events", params={"after": made["position"], "wait": 0.2})
    assert answer.json() == {"items": [], "next": made["position"]}


@pytest.mark.parametrize(
    "query", [{"wait": 31}, {"limit": 0}, {"limit": 1001}, {"after": -1}, {"types": "A;"}]
)
def test_a_feed_that_makes_no_sense_is_refused(api: httpx.Client, query: dict[str, Any]) -> None:
    answer = api.get("/v1/events", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in query


def test_a_long_poll_goes_on_waiting_past_events_of_other_types(api: httpx.Client, created: Any) -> None:
    made = created("customers", person())
    later: list[dict[str, Any]] = []

    def write() -> None:
        later.append(created("customers", person()))
        later.append(created("leads", {"source": "fair"}))

    writer = threading.Timer(0.3, write)
    writer.start()
    query = {"after": made["position"], "wait": 20, "types": "lead", "limit": 1}
    answer = api.get("/v1/events", params=query).json()
    writer.join()
    assert [it["subject"] for it in answer["items"]] == [later[1]["id"]]
    in_vain = api.get("/v1/events", params={"after": made["position"], "wait": 0.2, "types": "member"}).json()
    assert in_vain == {"items": [], "next": later[1]["position"]}


def test_whoever_waits_holds_no_connection(server: Running, api: httpx.Client, created: Any) -> None:
    """A hundred wait, the pool has eight, and a read among them is answered at once."""
    made = created("customers", person())
    token = server.token(Scope.SUBSCRIBE)

    async def crowd() -> list[dict[str, Any]]:
        limits = httpx.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=60) as many:
            query = {"after": made["position"], "wait": 30}
            waiting = [asyncio.create_task(many.get("/v1/events", params=query)) for _ in range(100)]
            while server.call(_waiting(server)) < len(waiting):  # noqa: ASYNC110 - it is another loop's state
                await asyncio.sleep(0.05)
            read = await asyncio.to_thread(api.get, f"/v1/customers/{made['id']}")
            assert read.status_code == 200
            stats = server.system.pool.get_stats()
            assert stats.get("requests_waiting", 0) <= 1
            await asyncio.to_thread(created, "leads", {"source": "fair"})
            return [(await it).json() for it in waiting]

    answers = asyncio.run(crowd())
    assert {len(it["items"]) for it in answers} == {1}


async def _waiting(server: Running) -> int:
    tide = server.app.state.door.tide
    return int(tide._waiting)


class Stream:
    """A client of server-sent events, as small as it gets."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def block(self) -> dict[str, str]:
        """The next block of lines; {} at the end."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        return fields

    def events(self, count: int) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        while len(found) < count:
            block = self.block()
            assert block, "the stream has ended"
            if "data" in block:
                found.append(block)
        return found


@contextmanager
def stream(client: httpx.Client, last: int | None = None, **query: Any) -> Iterator[Stream]:
    headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": str(last)})
    with client.stream("GET", "/v1/events", params=query, headers=headers, timeout=60) as answer:
        yield Stream(answer)


def test_a_stream_gives_what_is_there_and_what_comes(api: httpx.Client, created: Any) -> None:
    first = created("customers", person())
    with stream(api, after=first["position"] - 1) as it:
        assert it.answer.headers["content-type"].startswith("text/event-stream")
        assert it.answer.headers["cache-control"] == "no-store"
        assert it.block() == {"retry": "3000"}
        (one,) = it.events(1)
        second = created("customers", person())
        (two,) = it.events(1)
    assert [one["id"], two["id"]] == [str(first["position"]), str(second["position"])]
    assert one["event"] == "customer.registered"
    same = api.get("/v1/events", params={"after": first["position"] - 1, "limit": 1}).json()["items"][0]
    assert json.loads(one["data"]) == same


def test_a_stream_goes_on_after_the_last_event_that_came(api: httpx.Client, created: Any) -> None:
    made = [created("customers", person()) for _ in range(3)]
    with stream(api, last=made[0]["position"], after=0) as it:
        assert [one["id"] for one in it.events(2)] == [str(it["position"]) for it in made[1:]]


def test_a_stream_gives_the_types_asked_for_and_tells_how_far_it_came(
    api: httpx.Client, created: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.2)
    lead = created("leads", {"source": "fair"})
    with stream(api, after=lead["position"] - 1, types="lead") as it:
        it.events(1)
        other = created("customers", person())
        while "id" not in (block := it.block()):
            assert block == {"": ""}
        assert block == {"id": str(other["position"]), "": ""}


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "1.5"])
def test_a_place_that_makes_no_sense_is_refused(api: httpx.Client, last: str) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
    answer = api.get("/v1/events", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


def test_a_stream_ends_soon_after_its_token(
    server: Running, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHECK_SECONDS", 0.1)
    made = api.post("/v1/tokens", json={"name": "mirror", "scopes": ["subscribe"]}).json()
    end = server.call(server.system.reader.end())
    header = {"Authorization": f"Bearer {made['token']}"}
    with httpx.Client(base_url=server.url, headers=header) as client, stream(client, after=end) as it:
        assert it.block() == {"retry": "3000"}
        # Not by this process's door, which would forget the token at once.
        server.call(server.system.tokens.revoke(made["id"]))
        while block := it.block():
            assert block.keys() <= {"", "id"}


def test_a_stream_without_a_token_never_begins(server: Running) -> None:
    answer = httpx.get(f"{server.url}/v1/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 401


def test_a_client_that_reads_nothing_costs_one_page(server: Running, api: httpx.Client) -> None:
    """It asks, and takes nothing: the server stops reading for it once the socket is full."""
    fetched: list[int] = []

    class Counting:
        closed = False

        async def read(self, after: int, limit: int) -> Any:
            fetched.append(after)
            return await server.system.reader.read(0, 1)

    async def work() -> int:
        alone, full = Alone(server, api, tide=Counting()), asyncio.Event()
        asking = asyncio.create_task(alone.stream(room=4, full=full))
        await asyncio.wait_for(full.wait(), 30)
        before = len(fetched)
        for _ in range(100):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return len(fetched) - before

    assert server.call(work()) == 0
    assert 1 <= len(fetched) <= 4


class Alone:
    """The application over this door without a server: `said` is all it sent."""

    def __init__(self, server: Running, api: httpx.Client, **instead: Any) -> None:
        self._app = create_app(replace(server.app.state.door, **instead))
        self._authorization = api.headers["authorization"].encode()
        self.said: list[bytes] = []
        self.status = 0

    async def stream(self, room: int = 1_000_000, full: asyncio.Event | None = None) -> None:
        """Ask for the stream from the beginning, until it ends. After `room` messages nobody takes more."""

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            self.status = message.get("status", self.status)
            self.said.append(message.get("body", b""))
            if len(self.said) == room and full is not None:
                full.set()
                await asyncio.Event().wait()

        headers = [(b"accept", b"text/event-stream"), (b"authorization", self._authorization)]
        scope = {
            "type": "http", "method": "GET", "path": "/v1/events", "raw_path": b"/v1/events",
            "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1", "headers": headers,
            "asgi": {"version": "3.0", "spec_version": "2.3"}, "server": ("x", 80), "client": ("x", 1),
        }  # fmt: skip
        await asyncio.wait_for(self._app(scope, receive, send), 30)


def test_streams_end_in_good_order_when_the_server_stops(server: Running, api: httpx.Client) -> None:
    async def work() -> Alone:
        tide = Tide(server.system.reader)
        alone = Alone(server, api, tide=tide)
        streaming = asyncio.create_task(alone.stream())
        while not alone.said:  # noqa: ASYNC110 - another task says it
            await asyncio.sleep(0.01)
        tide.close()
        await streaming
        return alone

    assert server.call(work()).status == 200


@pytest.mark.parametrize("away_from", [0, 1])
def test_a_database_that_goes_away_ends_a_stream_or_refuses_it(
    server: Running, api: httpx.Client, created: Any, away_from: int
) -> None:
    created("customers", person())

    class Away:
        closed = False
        reads = 0

        async def read(self, after: int, limit: int) -> Any:
            self.reads += 1
            if self.reads > away_from:
                raise Unavailable("away")
            return await server.system.reader.read(0, 1)

    async def work() -> Alone:
        alone = Alone(server, api, tide=Away())
        await alone.stream()
        return alone

    it = server.call(work())
    assert it.status == (503 if away_from == 0 else 200)
    assert (b"data: " in b"".join(it.said)) is (away_from == 1)
