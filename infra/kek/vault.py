"""KEKs in HashiCorp Vault (or OpenBao): versions of one key of its Transit engine, which never leave it."""

import asyncio
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import hvac
from hvac import exceptions
from requests.exceptions import RequestException

from infra.kek.keys import KekUnusable
from services.ports import Unavailable

T = TypeVar("T")
TIMEOUT_SECONDS = 5
BATCH_MAX = 1_000
AUTHENTICATED = frozenset({"aes256-gcm96", "chacha20-poly1305"})
"""The kinds of key that bind a ciphertext to associated data, with 256 bits."""
PASSING = (
    RequestException,
    exceptions.VaultDown,
    exceptions.VaultNotInitialized,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.RateLimitExceeded,
)


class TransitKey:
    """One key of a Transit engine, over HTTP. Its client blocks, so it works in threads."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        mount, _, self.name = parts.path.strip("/").rpartition("/")
        self.mount = mount
        self._address = f"{parts.scheme}://{parts.netloc}"
        self._token = token
        self._clients = threading.local()

    async def ask(self, question: Callable[[Any], T]) -> T:
        """The answer of the engine's API to the question. Raises `KekUnusable`, `Unavailable`."""
        return await asyncio.to_thread(self._ask, question)

    async def crypt(self, verb: str, batch: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Encrypt or decrypt; each item's result, which may be an error of its own."""
        results: list[Mapping[str, Any]] = []
        for start in range(0, len(batch), BATCH_MAX):
            part = batch[start : start + BATCH_MAX]
            results += await self.ask(partial(self._crypt, verb, part))
        return results

    def _crypt(self, verb: str, batch: Sequence[Mapping[str, Any]], api: Any) -> list[Mapping[str, Any]]:
        try:
            answer = getattr(api, f"{verb}_data")(self.name, batch_input=list(batch), mount_point=self.mount)
        except exceptions.InvalidRequest as refusal:
            # What Vault answers where some items failed: the results of all stand in it.
            answer = refusal.json
        results = ((answer or {}).get("data") or {}).get("batch_results")
        if not isinstance(results, list) or len(results) != len(batch):
            raise KekUnusable(f"{self} does not {verb}: the answer is not of the Transit engine")
        return results

    def _ask(self, question: Callable[[Any], T]) -> T:
        if not hasattr(self._clients, "transit"):
            client = hvac.Client(url=self._address, token=self._token, timeout=TIMEOUT_SECONDS)
            self._clients.transit = client.secrets.transit
        with self._told():
            return question(self._clients.transit)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """No text of the service's own is repeated: it may hold what was asked."""
        try:
            yield
        except PASSING as error:
            raise Unavailable(f"{self} cannot be reached just now") from error
        except (exceptions.Forbidden, exceptions.Unauthorized):
            raise KekUnusable(f"{self} is closed to this token") from None
        except exceptions.InvalidPath:
            raise KekUnusable(f"{self} is missing") from None
        except exceptions.VaultError as error:
            raise KekUnusable(f"{self} refuses: {type(error).__name__}") from None

    def __str__(self) -> str:
        return f"the Transit key {self.mount}/{self.name} at {self._address}"


class VaultKek:
    """One version of the key. Only its ciphertexts and clear data keys cross the network, over TLS."""

    def __init__(self, key: TransitKey, version: int) -> None:
        self.id = f"vault-{key.mount}/{key.name}-v{version}"
        self.version = version
        self._key = key
        self._prefix = f"vault:v{version}:".encode()

    async def wrap(self, secrets: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes]:
        items = [
            {"plaintext": _text(secret), "associated_data": _text(place), "key_version": self.version}
            for secret, place in zip(secrets, places, strict=True)
        ]
        wrapped = [str(it.get("ciphertext", "")).encode() for it in await self._key.crypt("encrypt", items)]
        if not all(box.startswith(self._prefix) for box in wrapped):
            raise KekUnusable(f"{self._key} does not encrypt under its version {self.version}")
        return wrapped

    async def unwrap(self, wrapped: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes | None]:
        ours = [it for it, box in enumerate(wrapped) if box.startswith(self._prefix) and box.isascii()]
        items = [
            {"ciphertext": wrapped[number].decode(), "associated_data": _text(places[number])}
            for number in ours
        ]
        secrets: list[bytes | None] = [None] * len(wrapped)
        for number, result in zip(ours, await self._key.crypt("decrypt", items), strict=True):
            if not result.get("error"):
                secrets[number] = b64decode(result["plaintext"])
        return secrets


class VaultKekPlace:
    """Implements `infra.kek.KekPlace`: an epoch is a version, and a version ends by being trimmed away.

    The token may read, rotate, configure and trim the key, and encrypt and decrypt with it.
    """

    def __init__(self, url: str, token: str) -> None:
        self._key = TransitKey(url, token)

    async def found(self) -> VaultKek:
        key = self._key
        # Where there is one already, this changes nothing.
        await key.ask(lambda api: api.create_key(key.name, key_type="aes256-gcm96", mount_point=key.mount))
        return (await self._versions())[-1]

    async def all(self) -> Mapping[str, VaultKek]:
        return {kek.id: kek for kek in await self._versions()}

    async def add(self) -> VaultKek:
        key = self._key
        await key.ask(lambda api: api.rotate_key(key.name, mount_point=key.mount))
        return (await self._versions())[-1]

    async def destroy(self, kek_id: str) -> None:
        found = re.fullmatch(r"vault-.+-v([0-9]+)", kek_id)
        if found is None or VaultKek(self._key, int(found[1])).id != kek_id:
            raise KekUnusable(f"{kek_id} is no version of {self._key}")
        first_kept = int(found[1]) + 1
        described = await self._described()
        if first_kept > described["latest_version"]:
            raise KekUnusable(f"{kek_id} is the newest version of {self._key}: it is not destroyed")
        if described.get("min_available_version", 0) < first_kept:
            await self._trim(first_kept)

    async def _trim(self, first_kept: int) -> None:
        key = self._key
        # In this order: Vault never lets the least version to encrypt with be below that to decrypt with.
        for least in ({"min_encryption_version": first_kept}, {"min_decryption_version": first_kept}):
            await key.ask(partial(_configure, key, least))
        await key.ask(lambda api: api.trim_key(key.name, first_kept, mount_point=key.mount))

    async def _versions(self) -> list[VaultKek]:
        described = await self._described()
        least = max(described["min_decryption_version"], 1)
        return [VaultKek(self._key, version) for version in range(least, described["latest_version"] + 1)]

    async def _described(self) -> Mapping[str, Any]:
        key = self._key
        answer = await key.ask(lambda api: api.read_key(key.name, mount_point=key.mount))
        described: Mapping[str, Any] = answer["data"]
        if described["type"] not in AUTHENTICATED or described.get("derived"):
            raise KekUnusable(f"{key} is of the kind {described['type']}: use aes256-gcm96, not derived")
        return described


def _configure(key: TransitKey, least: Mapping[str, int], api: Any) -> None:
    api.update_key_configuration(key.name, mount_point=key.mount, **least)


def _text(value: bytes) -> str:
    return b64encode(value).decode()
