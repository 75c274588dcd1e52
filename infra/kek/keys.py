"""Data keys and what they are bound to, and the port through which key-encryption keys wrap them."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from struct import Struct
from typing import Protocol
from uuid import UUID

from domain.model import Category
from services.ports import DataKey

SECRET_BYTES = 32
ID_BYTES = 16
FINGERPRINT_BYTES = 32
LENGTH = Struct(">H").pack
FORM = LENGTH(12) + b"lethe/wrap/1"


class KekUnusable(Exception):
    """A key-encryption key cannot be had from where its reference points. One line, no key in it."""


class KeyStoreUnfit(Exception):
    """The key store is missing, empty, another's, or under another KEK. Nothing starts beside it."""


class KeyEncryptionKey(Protocol):
    """Wraps data keys. An adapter may ask a service over the network, so everything comes in batches."""

    @property
    def id(self) -> str:
        """Which KEK this is; says nothing about the key itself."""
        ...

    async def wrap(self, secrets: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes]:
        """Each secret encrypted, bound to the place beside it."""
        ...

    async def unwrap(self, wrapped: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes | None]:
        """Each secret again; None for what does not open under this KEK in that place."""
        ...


class KekPlace(Protocol):
    """Where the KEKs of one key store are kept: the present epoch's, and during a rotation the next one's.

    Everything raises `KekUnusable`, or `Unavailable` where the place is a service that does not answer.
    """

    async def found(self) -> KeyEncryptionKey:
        """The newest KEK, made where there is none: for a new key store only."""
        ...

    async def all(self) -> Mapping[str, KeyEncryptionKey]:
        """The KEKs as they are there now, by id, oldest first; one at least."""
        ...

    async def add(self) -> KeyEncryptionKey:
        """One more, durable before this answers. Never twice at once."""
        ...

    async def destroy(self, kek_id: str) -> None:
        """End a KEK for good; the newest never. May be repeated. Never twice at once."""
        ...


def fingerprint(secret: bytes) -> str:
    """What commits to a key without telling it: SHA-256, in a domain of its own, as hex."""
    return hashlib.sha256(b"lethe/fingerprint/1\0" + secret).hexdigest()


def mint() -> DataKey:
    """A new random key."""
    [key] = mint_many(1)
    return key


def mint_many(number: int) -> list[DataKey]:
    """As many new random keys, for which the system is asked once."""
    return [DataKey(fingerprint(secret), secret) for secret in random_many(SECRET_BYTES, number)]


def random_many(size: int, number: int) -> list[bytes]:
    """As many random strings of this size, for which the system is asked once."""
    drawn = os.urandom(size * number)
    return [drawn[start : start + size] for start in range(0, size * number, size)]


def data_key_place(namespace: str, subject_id: UUID, category: Category, fingerprint: str) -> bytes:
    """The associated data of a wrapped data key: it unwraps under its own name only."""
    head, its_category = _data_place(namespace, category)
    return b"".join((head, subject_id.bytes, its_category, bytes.fromhex(fingerprint)))


@cache
def _data_place(namespace: str, category: Category) -> tuple[bytes, bytes]:
    """What stands before the subject's id and before the fingerprint."""
    head = _place(b"data", namespace.encode()) + LENGTH(ID_BYTES)
    return head, LENGTH(len(category)) + category.encode() + LENGTH(FINGERPRINT_BYTES)


def system_key_place(namespace: str, name: str, fingerprint: str) -> bytes:
    """The associated data of a wrapped key of the system's own."""
    return _place(b"system", namespace.encode(), name.encode(), bytes.fromhex(fingerprint))


def canary_place(namespace: str) -> bytes:
    """The associated data of the value that tells whether this KEK is the key store's."""
    return _place(b"canary", namespace.encode())


def _place(*parts: bytes) -> bytes:
    """Unambiguous: each part with its length before it."""
    return FORM + b"".join([LENGTH(len(part)) + part for part in parts])
