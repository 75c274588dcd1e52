"""The HTTP interface of a Lethe: asked once, and told apart what passes by itself from what does not."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from lethe_subscriber.errors import NotAllowed, Refused, Unreachable

CONNECT_SECONDS_MAX: Final = 10
ANSWER_SECONDS_MAX: Final = 30
TOKEN: Final = "LETHE_TOKEN"  # noqa: S105 - the name of the variable
LEFT_ALONE_SECONDS_MAX: Final = 300


class Api:
    """One Lethe, called with one token: the argument, or else the environment's `LETHE_TOKEN`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        token = token or os.environ.get(TOKEN)
        if not token:
            raise NotAllowed(f"a token is needed: as an argument, or in {TOKEN}")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "lethe-subscriber"}
        self._client: httpx.Client | None = None

    def get(self, path: str, parameters: Mapping[str, Any], *, seconds: float = 0) -> dict[str, Any]:
        """The answer; the server may take so many seconds longer than it usually does."""
        return self._ask("GET", path, params=parameters, timeout=_timeout(seconds))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer. Raises `NotAllowed`, `Refused` or `Unreachable`."""
        return self._ask("POST", path, json=body, timeout=_timeout(0))

    def close(self) -> None:
        """End its connections; the next call opens one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        if self._client is None:
            self._client = httpx.Client(base_url=self.url, headers=self._headers)
        try:
            answer = self._client.request(method, path, **content)
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url} does not answer ({type(error).__name__})") from None
        if answer.status_code == 429 or answer.status_code >= 500:
            raise Unreachable(f"{self.url} answers {answer.status_code}", _retry_after(answer))
        if answer.status_code in (401, 403):
            raise NotAllowed(f"{method} {path}: {answer.status_code} {_why(answer)}", answer.status_code)
        if answer.is_error:
            raise Refused(f"{method} {path}: {answer.status_code} {_why(answer)}", answer.status_code)
        document: dict[str, Any] = answer.json()
        return document


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(ANSWER_SECONDS_MAX + seconds, connect=CONNECT_SECONDS_MAX)


def _why(answer: httpx.Response) -> str:
    """What the problem document says; it names rules, never values (RFC 9457)."""
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return answer.reason_phrase


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds to leave the server alone (RFC 9110, 10.2.3: a number, or a date)."""
    text = answer.headers.get("retry-after", "")
    try:
        seconds = float(text) if text.isdigit() else _until(text)
    except ValueError:
        return None
    return min(max(0.0, seconds), LEFT_ALONE_SECONDS_MAX)


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment - datetime.now(UTC)).total_seconds() if moment.tzinfo else 0.0
