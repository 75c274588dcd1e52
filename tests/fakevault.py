"""A small server that keeps to the documented HTTP API of Vault's Transit engine, as far as KEKs need it.

https://developer.hashicorp.com/vault/api-docs/secret/transit: keys, rotate, config, trim, and encrypt and
decrypt by the batch, with an error for each item that fails and status 400 where one does.
"""

import json
import os
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MOUNT = "transit"
NONCE_BYTES = 12
Answer = tuple[int, dict[str, Any] | None]


class Refusal(Exception):
    """A request, or an item of a batch, that Vault answers with 400."""


@dataclass
class Key:
    """A named key and its versions, the trimmed ones gone."""

    kind: str
    derived: bool
    versions: dict[int, bytes] = field(default_factory=lambda: {1: os.urandom(32)})
    min_decryption_version: int = 1
    min_encryption_version: int = 0
    min_available_version: int = 0

    @property
    def latest(self) -> int:
        return max(self.versions)

    def described(self, name: str) -> dict[str, Any]:
        working = [it for it in sorted(self.versions) if it >= self.min_decryption_version]
        return {
            "name": name,
            "type": self.kind,
            "derived": self.derived,
            "exportable": False,
            "latest_version": self.latest,
            "min_decryption_version": self.min_decryption_version,
            "min_encryption_version": self.min_encryption_version,
            "min_available_version": self.min_available_version,
            "keys": {str(version): 1_700_000_000 + version for version in working},
        }

    def rotate(self, body: dict[str, Any]) -> None:
        self.versions[self.latest + 1] = os.urandom(32)

    def config(self, body: dict[str, Any]) -> None:
        decryption = body.get("min_decryption_version", self.min_decryption_version)
        encryption = body.get("min_encryption_version", self.min_encryption_version)
        if max(decryption, encryption) > self.latest:
            raise Refusal("cannot set min version greater than the latest version")
        if 0 < encryption < decryption:
            raise Refusal("min encryption version must be greater than or equal to min decryption version")
        self.min_decryption_version, self.min_encryption_version = decryption, encryption

    def trim(self, body: dict[str, Any]) -> None:
        least = body["min_available_version"]
        if self.min_encryption_version == 0 or self.min_decryption_version == 0:
            raise Refusal("minimum available version cannot be set when min versions are not set")
        if least > min(self.min_encryption_version, self.min_decryption_version):
            raise Refusal("minimum available version cannot be higher than the minimum versions")
        self.min_available_version = least
        self.versions = {version: secret for version, secret in self.versions.items() if version >= least}

    def encrypt(self, item: dict[str, Any]) -> dict[str, Any]:
        version = item.get("key_version") or self.latest
        if version > self.latest or version < self.min_encryption_version or version not in self.versions:
            raise Refusal("requested version for encryption is not allowed")
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.versions[version]).encrypt(
            nonce, b64decode(item["plaintext"], validate=True), b64decode(item.get("associated_data", ""))
        )
        return {
            "ciphertext": f"vault:v{version}:{b64encode(nonce + sealed).decode()}",
            "key_version": version,
        }

    def decrypt(self, item: dict[str, Any]) -> dict[str, Any]:
        found = re.fullmatch(r"vault:v(\d+):([A-Za-z0-9+/=]+)", item.get("ciphertext", ""))
        if found is None:
            raise Refusal("invalid ciphertext: no prefix")
        version = int(found[1])
        if version < self.min_decryption_version:
            raise Refusal("ciphertext or signature version is disallowed by policy (too old)")
        if version not in self.versions:
            raise Refusal("invalid ciphertext: unable to find version")
        try:
            raw = b64decode(found[2], validate=True)
            clear = AESGCM(self.versions[version]).decrypt(
                raw[:NONCE_BYTES], raw[NONCE_BYTES:], b64decode(item.get("associated_data", ""))
            )
        except (InvalidTag, ValueError):
            raise Refusal("cipher: message authentication failed") from None
        return {"plaintext": b64encode(clear).decode()}


class FakeVault(ThreadingHTTPServer):
    """Serves on a free port of the loopback while `serving`; `sealed`, it answers as a sealed Vault does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = f"hvs.{os.urandom(12).hex()}"
        self.sealed = False
        self.keys: dict[str, Key] = {}
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> Answer:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        found = re.fullmatch(rf"/v1/{MOUNT}/(keys|encrypt|decrypt)/([a-z-]+)(?:/(rotate|config|trim))?", path)
        if found is None:
            return 404, {"errors": []}
        try:
            return self._routed(method, found[1], found[2], found[3], body)
        except Refusal as refusal:
            return 400, {"errors": [str(refusal)]}

    def _routed(self, method: str, what: str, name: str, act: str | None, body: dict[str, Any]) -> Answer:
        if what == "keys" and act is None and method == "POST":
            self.keys.setdefault(name, Key(body.get("type") or "aes256-gcm96", bool(body.get("derived"))))
            return 204, None
        if name not in self.keys:
            return 404, {"errors": []}
        key = self.keys[name]
        if what == "keys":
            if act is not None:
                getattr(key, act)(body)
            return 200, {"data": key.described(name)}
        return _batch(getattr(key, what), body["batch_input"])


def _batch(crypt: Any, items: list[dict[str, Any]]) -> Answer:
    results = []
    for item in items:
        try:
            results.append(crypt(item))
        except Refusal as refusal:
            results.append({"error": str(refusal)})
    failed = any("error" in result for result in results)
    return 400 if failed else 200, {"data": {"batch_results": results}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeVault

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        with self.server.lock:
            status, document = self.server.answer(method, self.path, self.headers.get("X-Vault-Token"), body)
        content = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Not to the test's output."""


@contextmanager
def serving() -> Iterator[FakeVault]:
    """A Vault with nothing in it."""
    server = FakeVault()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
