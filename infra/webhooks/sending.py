"""One attempt to hand an event over: what is sent, and what is made of the answer.

Nothing of the answer but its status and `Retry-After` is kept. Redirects are not followed.
"""

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import httpcore

from infra.webhooks.answers import Answer, Fault
from infra.webhooks.connecting import VettedBackend
from infra.webhooks.reach import NameNotFound, NotAllowed, Reach

CONNECT_SECONDS_MAX: Final = 5.0
ATTEMPT_SECONDS_MAX: Final = 20.0
ANSWER_BYTES_MAX: Final = 16 * 1024
RETRY_AFTER_SECONDS_MAX: Final = 24 * 3600.0
KEPT_OPEN_SECONDS: Final = 30.0
MEDIA_TYPE: Final = "application/cloudevents+json"


class Sender:
    """Sends to one endpoint, over connections that it keeps. To be closed."""

    def __init__(self, reach: Reach, url: str, *, connections: int) -> None:
        self._reach = reach
        self._url = url
        plain = not url.startswith("https:")
        self._host = urlsplit(url).netloc
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls(),
            max_connections=connections,
            keepalive_expiry=KEPT_OPEN_SECONDS,
            network_backend=VettedBackend(reach, plain=plain),
        )

    async def post(self, headers: dict[str, str], body: bytes) -> Answer:
        """Send it once. Never raises for what the receiver, or the way there, does."""
        if self._reach.unfit(self._url) is not None:
            return Answer(fault=Fault.ADDRESS_NOT_ALLOWED)
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
                return await self._post(headers, body)
        except NotAllowed:
            return Answer(fault=Fault.ADDRESS_NOT_ALLOWED)
        except NameNotFound:
            return Answer(fault=Fault.NAME_NOT_FOUND)
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(fault=Fault.TIMED_OUT)
        except httpcore.ConnectError as error:
            return Answer(fault=Fault.TLS_FAILED if _is_tls(error) else Fault.CONNECTION_FAILED)
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Answer(fault=Fault.BROKEN_OFF)

    async def close(self) -> None:
        """Let the connections go."""
        await self._pool.aclose()

    async def _post(self, headers: dict[str, str], body: bytes) -> Answer:
        sent: list[tuple[bytes | str, bytes | str]] = [
            ("host", self._host),
            ("content-type", MEDIA_TYPE),
            ("content-length", str(len(body))),
            ("user-agent", "lethe"),
            *headers.items(),
        ]
        timeouts = {"timeout": {"connect": CONNECT_SECONDS_MAX, "read": None, "write": None, "pool": None}}
        async with self._pool.stream(
            "POST", self._url, headers=sent, content=body, extensions=timeouts
        ) as response:
            read = 0
            # To the end, where that is near, so that the connection can be used again.
            async for part in response.aiter_stream():
                read += len(part)
                if read > ANSWER_BYTES_MAX:
                    break
            return _answer(response)


def _answer(response: httpcore.Response) -> Answer:
    status = response.status
    if 200 <= status < 300:
        return Answer(status)
    fault = Fault.REDIRECTED if 300 <= status < 400 else Fault.REFUSED
    asked = [value for name, value in response.headers if name.lower() == b"retry-after"]
    return Answer(status, fault, retry_after(asked[0].decode("latin-1")) if asked else None)


def retry_after(text: str, now: datetime | None = None) -> float | None:
    """The seconds of a `Retry-After` header, a day at most; None for one that says nothing (RFC 9110)."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), RETRY_AFTER_SECONDS_MAX)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)


@cache
def tls() -> ssl.SSLContext:
    """Certificates are held to the system's authorities; `SSL_CERT_FILE` names others."""
    return ssl.create_default_context()


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
