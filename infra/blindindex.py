"""The blind index: finds an exact e-mail address or phone number again without keeping it."""

from hashlib import sha256
from typing import Any

from services.ports import DataKey

INNER, OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
"""What RFC 2104 does to each byte of the key."""


class HmacBlindIndex:
    """Implements `services.ports.BlindIndex` with a key of the system's own.

    Who holds the key can try values one by one; who holds the rows alone cannot. Values come normalised.
    """

    KEY_NAME = "blind-index"

    def __init__(self, key: DataKey) -> None:
        self._key = key
        self._begun: dict[str, tuple[Any, Any]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return HmacBlindIndex, (self._key,)

    def digest(self, purpose: str, value: str) -> bytes:
        begun = self._begun.get(purpose) or self._begin(purpose)
        inner, outer = begun[0].copy(), begun[1].copy()
        inner.update(value.encode())
        outer.update(inner.digest())
        digest: bytes = outer.digest()
        return digest

    def _begin(self, purpose: str) -> tuple[Any, Any]:
        """HMAC (RFC 2104) as far as it is the same for all values: an import takes four digests a row."""
        named = purpose.encode()
        block = self._key.secret.ljust(sha256().block_size, b"\0")
        # The purpose with its length in front: no purpose and value read like another pair.
        inner = sha256(block.translate(INNER) + b"lethe/blind/1\0" + len(named).to_bytes(2, "big") + named)
        self._begun[purpose] = inner, sha256(block.translate(OUTER))
        return self._begun[purpose]
