"""Data keys, and the key-encryption key (KEK) that wraps them: one AES-256-GCM key, kept outside PostgreSQL.

A reference says where it is: `file:PATH` has an adapter here; a Vault or a cloud KMS fills the same port.
"""

import hashlib
import os
import secrets
import stat
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.model import Category
from services.ports import DataKey

SECRET_BYTES = 32
NONCE_BYTES = 12
HEADER = "lethe-kek-1:"
LENGTH = Struct(">H").pack
FORM = LENGTH(12) + b"lethe/wrap/1"


class KekUnusable(Exception):
    """The key-encryption key cannot be had from where its reference points. One line, no key in it."""


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


def fingerprint(secret: bytes) -> str:
    """What commits to a key without telling it: SHA-256, in a domain of its own, as hex."""
    return hashlib.sha256(b"lethe/fingerprint/1\0" + secret).hexdigest()


def mint() -> DataKey:
    """A new random key."""
    [key] = mint_many(1)
    return key


def mint_many(number: int) -> list[DataKey]:
    """As many new random keys, for which the system is asked once."""
    return [DataKey(fingerprint(secret), secret) for secret in _random(SECRET_BYTES, number)]


def data_key_place(namespace: str, subject_id: UUID, category: Category, fingerprint: str) -> bytes:
    """The associated data of a wrapped data key: it unwraps under its own name only."""
    return _place(
        b"data", namespace.encode(), subject_id.bytes, category.encode(), bytes.fromhex(fingerprint)
    )


def system_key_place(namespace: str, name: str, fingerprint: str) -> bytes:
    """The associated data of a wrapped key of the system's own."""
    return _place(b"system", namespace.encode(), name.encode(), bytes.fromhex(fingerprint))


def canary_place(namespace: str) -> bytes:
    """The associated data of the value that tells whether this KEK is the key store's."""
    return _place(b"canary", namespace.encode())


def _place(*parts: bytes) -> bytes:
    """Unambiguous: each part with its length before it."""
    return FORM + b"".join([LENGTH(len(part)) + part for part in parts])


def _random(size: int, number: int) -> list[bytes]:
    drawn = os.urandom(size * number)
    return [drawn[start : start + size] for start in range(0, size * number, size)]


class FileKek:
    """A KEK in memory, from a file. Random nonces allow 2^32 wraps (NIST SP 800-38D, 8.3)."""

    def __init__(self, secret: bytes) -> None:
        self.id = f"file-{fingerprint(secret)[:16]}"
        self._cipher = AESGCM(secret)

    async def wrap(self, secrets: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes]:
        encrypt = self._cipher.encrypt
        nonces = _random(NONCE_BYTES, len(secrets))
        return [
            nonce + encrypt(nonce, secret, place)
            for nonce, secret, place in zip(nonces, secrets, places, strict=True)
        ]

    async def unwrap(self, wrapped: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self._unwrapped(box, place) for box, place in zip(wrapped, places, strict=True)]

    def _unwrapped(self, box: bytes, place: bytes) -> bytes | None:
        try:
            return self._cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            return None


def open_kek(reference: str, *, create: bool) -> KeyEncryptionKey:
    """The KEK that the reference points to; made there first where `create` is given and there is none.

    Only a new namespace may `create`: beside an existing key store a missing KEK is a fault. Raises
    `KekUnusable`.
    """
    scheme, _, rest = reference.partition(":")
    if scheme != "file" or not rest:
        raise KekUnusable(f"no adapter for the KEK reference {scheme!r}: use file:PATH")
    path = Path(rest).absolute()
    try:
        if create:
            _make(path)
        return FileKek(_read(path))
    except FileNotFoundError:
        raise KekUnusable(f"the KEK file {path} is missing: restore it, nothing opens without it") from None
    except OSError as error:
        raise KekUnusable(f"the KEK file {path} cannot be used: {error.strerror}") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise KekUnusable(f"the KEK file {path} is open to others: chmod 600 it")
        text = file.read(200)
    try:
        secret = b64decode(text.strip().removeprefix(HEADER.encode()), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(HEADER.encode()) or len(secret) != SECRET_BYTES:
        raise KekUnusable(f"the KEK file {path} holds no KEK")
    return secret


def _make(path: Path) -> None:
    """Whole or not at all, and never over an existing file: two processes may start at once."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".kek-")  # mode 0600
    try:
        with open(descriptor, "w") as file:  # noqa: PTH123 - takes over the descriptor
            file.write(HEADER + b64encode(secrets.token_bytes(SECRET_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # a key that wraps others must not be lost to a power cut
    finally:
        os.close(folder)
