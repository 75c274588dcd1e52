"""A subscriber to try things with: registered, granted, with a client of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

SUBSCRIBERS = "/v1/subscribers"
ALL = ["identity", "contact", "conversation", "behaviour", "financial"]


@dataclass(frozen=True)
class Subscribing:
    """A subscriber: `admin` may do everything, `client` comes with the subscriber's own token."""

    admin: httpx.Client
    client: httpx.Client
    id: str
    name: str
    purpose: str
    token_id: str

    def command(self, verb: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.admin.post(f"{SUBSCRIBERS}/{self.id}/{verb}", json=body)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def unseal(self, *positions: int) -> list[dict[str, Any]]:
        answer = self.client.post("/v1/unseal", json={"positions": positions})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def shown(self, position: int) -> dict[str, Any]:
        """As its view shows it, once that has come so far."""
        answer = self.admin.get(f"{SUBSCRIBERS}/{self.id}", params={"at_least": position})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def subscribing(
    api: httpx.Client, *categories: str, name: str | None = None, purpose: str = "support"
) -> Iterator[Subscribing]:
    """A new subscriber, granted these categories."""
    name = name or f"mirror-{uuid4().hex[:12]}"
    made = api.post(SUBSCRIBERS, json={"name": name, "purpose": purpose})
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    token = api.post(f"{SUBSCRIBERS}/{id}/tokens", json={})
    assert token.status_code == 201, token.text
    header = {"Authorization": f"Bearer {token.json()['token']}"}
    with httpx.Client(base_url=api.base_url, headers=header, timeout=30) as client:
        it = Subscribing(api, client, id, name, purpose, token.json()["id"])
        if categories:
            it.command("grant", categories=categories)
        yield it
