"""Signatures by the Standard Webhooks specification (version 1, symmetric): who sent it, and when."""

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final

SECRET_BYTES: Final = 32
PREFIX: Final = "whsec_"


def random(size: int) -> bytes:
    """So many random bytes."""
    return os.urandom(size)


def mint() -> bytes:
    """A new secret."""
    return random(SECRET_BYTES)


def text_of(secret: bytes) -> str:
    """The secret as it is handed over, once."""
    return PREFIX + base64.b64encode(secret).decode()


def signed(secrets: Sequence[bytes], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers: one signature a secret, the newest first, so that a receiver may change over meanwhile."""
    message = b"%s.%d.%s" % (id.encode(), timestamp, body)
    signatures = [b"v1," + base64.b64encode(hmac.digest(it, message, hashlib.sha256)) for it in secrets]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": b" ".join(signatures).decode(),
    }
