"""Clients that call the API without pause, repeat what got no answer, and remember every answer."""

import asyncio
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg

from infra import json

PAUSE_SECONDS = 0.05
ANSWER_SECONDS_MAX = 30.0
MONEY = {"amount": "1250.00", "currency": "EUR"}
SOURCE = {"source": "fair"}
PERSON = {"kind": "person", "lawful_basis": "contract", "purpose": "orders", **SOURCE}
# A lead's way from capture to the win: each step refused by a rule where it is applied twice.
STEPS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("contact", {"channel": "phone", "note": "Wants an offer."}),
    ("qualify", {"value": MONEY}),
    ("propose", {"value": MONEY}),
    ("win", {"value": MONEY, "reason": "They said yes."}),
)
Answer = dict[str, Any]


class Callers:
    """So many callers, each with one connection kept alive and records of its own."""

    def __init__(self, url: str, headers: Mapping[str, str], *, callers: int = 16) -> None:
        self.url = url
        self.headers = headers
        self.callers = callers
        self.acknowledged: dict[UUID, Answer] = {}
        self.uncertain: set[UUID] = set()
        """Commands that were sent, and whose first answer never came."""
        self.statuses: dict[int, int] = defaultdict(int)
        self.refusals: list[str] = []
        """Answers that are neither success nor a proper "try again"."""
        self.seconds_max = 0.0
        self._chance = random.Random(1)

    async def run(self, stop: asyncio.Event) -> None:
        """Call until `stop` is set, and each caller has the answer to its last command."""
        await asyncio.gather(*(self._call(number, stop) for number in range(self.callers)))

    async def acknowledge(self, more: int = 1) -> float:
        """Wait until so many more commands are acknowledged; the seconds that took."""
        begun, wanted = time.monotonic(), len(self.acknowledged) + more
        async with asyncio.timeout(120):
            while len(self.acknowledged) < wanted:
                assert not self.refusals, self.refusals
                await asyncio.sleep(0.01)
        return time.monotonic() - begun

    async def _call(self, number: int, stop: asyncio.Event) -> None:
        patience = httpx.Timeout(ANSWER_SECONDS_MAX)
        async with httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=patience) as http:
            for turn in itertools.count():
                who = {"name": f"Caller {number} {turn}", "email": f"c{number}.{turn}@example.com"}
                if stop.is_set():
                    return
                await self._live(http, who, stop)

    async def _live(self, http: httpx.AsyncClient, who: Mapping[str, str], stop: asyncio.Event) -> None:
        """A customer with a note; then a lead of a company, won step by step."""
        customer = await self._command(http, "/v1/customers", {**PERSON, **who})
        await self._command(http, f"/v1/customers/{customer['id']}/write-note", {"text": "Prefers mail."})
        lead = await self._command(http, "/v1/leads", {**SOURCE, **who, "organisation": "Brandt"})
        for verb, body in STEPS:
            if stop.is_set():
                return
            await self._command(http, f"/v1/leads/{lead['id']}/{verb}", body)

    async def _command(self, http: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> Answer:
        """Send it under one key until it is answered."""
        key = uuid4()
        while True:
            begun = time.monotonic()
            try:
                response = await http.post(path, json=body, headers={"Idempotency-Key": str(key)})
            except httpx.TransportError:
                self.uncertain.add(key)
            else:
                self.seconds_max = max(self.seconds_max, time.monotonic() - begun)
                self.statuses[response.status_code] += 1
                if response.is_success:
                    self.acknowledged[key] = response.json()
                    return self.acknowledged[key]
                self._check(response)
            await asyncio.sleep(PAUSE_SECONDS * (1 + self._chance.random()))

    def _check(self, response: httpx.Response) -> None:
        if not proper_retry(response):
            self.refusals.append(f"{response.status_code} {response.text[:300]}")
            raise AssertionError(self.refusals[-1])


def proper_retry(response: httpx.Response) -> bool:
    """Whether it says to try again, and when."""
    return (
        response.status_code == 503
        and response.headers["content-type"] == "application/problem+json"
        and int(response.headers["retry-after"]) > 0
    )


def assert_each_once(url: str, acknowledged: Mapping[UUID, Answer]) -> int:
    """Every acknowledged command is in the log, whole, once, as it was answered; the number of events."""
    with psycopg.connect(url) as connection:
        # One look at both tables: the system may be at work.
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        commands = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT command_id, originator_id, version, position FROM log.commands"
            )
        }
        events = connection.execute(
            "SELECT originator_id, originator_version, position, state FROM log.events"
            " ORDER BY originator_id, originator_version"
        ).fetchall()
    by_record: dict[UUID, list[tuple[int, UUID]]] = defaultdict(list)
    last: dict[UUID, tuple[UUID, int, int]] = {}
    for record, version, position, state in events:
        command = UUID(json.decode(state)["command_id"])
        by_record[record].append((version, command))
        last[command] = (record, version, position)
    for key, answer in acknowledged.items():
        place = UUID(answer["id"]), answer["version"], answer["position"]
        assert last.get(key) == commands.get(key) == place, f"command {key}"
    # No event without its command. One that changed nothing says where its record stood.
    assert last.items() <= commands.items()
    assert {commands[it] for it in commands.keys() - last.keys()} <= {it[:3] for it in events}
    for history in by_record.values():
        assert [version for version, _ in history] == list(range(1, len(history) + 1))
        # Events of one command stand together: a second run of them would be a second application.
        runs = [command for command, _ in itertools.groupby(command for _, command in history)]
        assert len(runs) == len(set(runs))
    return len(events)
