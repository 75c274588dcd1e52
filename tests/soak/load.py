"""People whose lives are lived over HTTP: registered, changed, restricted, served, erased."""

import asyncio
import random
from collections.abc import Mapping
from uuid import UUID

import httpx

from tests.faults.callers import MONEY, PERSON, SOURCE, Answer, Callers
from tests.http.samples import ticket


class People(Callers):
    """Callers that remember who is erased and who is, or ever was, restricted: by the subject's id."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, seed: int, callers: int, pause_seconds: float
    ) -> None:
        super().__init__(url, headers, callers=callers)
        self.pause_seconds = pause_seconds
        self.erased: set[UUID] = set()
        self.erasures: list[Answer] = []
        self.restricted: set[UUID] = set()
        self.ever_restricted: set[UUID] = set()
        self._fate = random.Random(seed)

    async def _live(self, http: httpx.AsyncClient, who: Mapping[str, str], stop: asyncio.Event) -> None:
        """A customer with leads and tickets; at the end some are erased, some are restricted."""
        customer = await self._command(http, "/v1/customers", {**PERSON, **who})
        steps = [self._rename, self._sell, self._serve, self._restrict]
        self._fate.shuffle(steps)
        for step in steps:
            if stop.is_set():
                return
            await step(http, customer, who)
        if self._fate.random() < 0.3:
            await self._erase(http, customer)
        elif self._fate.random() < 0.1:
            await self._restrict(http, customer, who, lifted=False)

    async def _rename(self, http: httpx.AsyncClient, customer: Answer, who: Mapping[str, str]) -> None:
        of = f"/v1/customers/{customer['id']}"
        await self._command(http, f"{of}/rename", {"name": f"{who['name']} the second"})
        await self._command(http, f"{of}/tag", {"tags": ["soaked"]})
        await self._command(http, f"{of}/write-note", {"text": "Prefers mail."})

    async def _sell(self, http: httpx.AsyncClient, customer: Answer, who: Mapping[str, str]) -> None:
        lead = await self._command(http, "/v1/leads", {**SOURCE, **who, "organisation": "Brandt"})
        of = f"/v1/leads/{lead['id']}"
        await self._command(http, f"{of}/contact", {"channel": "phone", "note": "Wants an offer."})
        if self._fate.random() < 0.7:
            await self._command(http, f"{of}/qualify", {"value": MONEY})
        if self._fate.random() < 0.2:
            await self._erase(http, lead)

    async def _serve(self, http: httpx.AsyncClient, customer: Answer, who: Mapping[str, str]) -> None:
        opened = await self._command(http, "/v1/tickets", ticket(customer_id=customer["id"]))
        of = f"/v1/tickets/{opened['id']}"
        await self._command(http, f"{of}/escalate", {"line": "second", "team": "Firmware"})
        if self._fate.random() < 0.6:
            await self._command(http, f"{of}/resolve", {})
            if self._fate.random() < 0.3:
                await self._command(http, f"{of}/reopen", {})

    async def _restrict(
        self, http: httpx.AsyncClient, customer: Answer, who: Mapping[str, str], *, lifted: bool = True
    ) -> None:
        if lifted and self._fate.random() < 0.7:
            return
        subject = customer["subject_id"]
        self.ever_restricted.add(UUID(subject))
        of = f"/v1/subjects/{subject}/restriction"
        await self._command(http, of, {"cause": "accuracy_contested"})
        self.restricted.add(UUID(subject))
        if lifted:
            await self._command(http, f"{of}/lift", {})
            self.restricted.discard(UUID(subject))

    async def _erase(self, http: httpx.AsyncClient, made: Answer) -> None:
        subject = made["subject_id"]
        answer = await self._command(http, f"/v1/subjects/{subject}/erasure", {"ground": "consent_withdrawn"})
        self.erased.add(UUID(subject))
        # The answer is that of the last step, which is a command of its own.
        self.erasures.append(answer)

    async def _command(self, http: httpx.AsyncClient, path: str, body: Mapping[str, object]) -> Answer:
        answer = await super()._command(http, path, body)
        await asyncio.sleep(self.pause_seconds)  # a pace that a soak of half an hour leaves room for
        return answer
