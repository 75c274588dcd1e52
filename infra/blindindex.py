"""The blind index: finds an exact e-mail address or phone number again without keeping it."""

import hashlib
import hmac

from services.ports import DataKey


class HmacBlindIndex:
    """Implements `services.ports.BlindIndex` with a key of the system's own.

    Who holds the key can try values one by one; who holds the rows alone cannot. Values come normalised.
    """

    KEY_NAME = "blind-index"

    def __init__(self, key: DataKey) -> None:
        self._key = key

    def digest(self, purpose: str, value: str) -> bytes:
        named = purpose.encode()
        # The purpose with its length in front: no purpose and value read like another pair.
        message = b"lethe/blind/1\0" + len(named).to_bytes(2, "big") + named + value.encode()
        return hmac.digest(self._key.secret, message, hashlib.sha256)
