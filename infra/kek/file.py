"""KEKs in a file: one line each, the newest last, mode 0600. For one machine, or a volume that all share."""

import asyncio
import os
import secrets
import stat
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infra.kek.keys import SECRET_BYTES, KekUnusable, fingerprint, random_many

NONCE_BYTES = 12
HEADER = "lethe-kek-1:"
FILE_BYTES_MAX = 10_000
READS_MAX = 3
THREAD_FROM = 500
"""As many keys at once are worth a thread, so that the event loop goes on meanwhile."""
FIRST, NEXT = ".kek-first-", ".kek-next-"


class FileKek:
    """A KEK in memory: AES-256-GCM. Random nonces allow 2^32 wraps (NIST SP 800-38D, 8.3)."""

    def __init__(self, secret: bytes) -> None:
        self.id = f"file-{fingerprint(secret)[:16]}"
        self._cipher = AESGCM(secret)

    async def wrap(self, secrets: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes]:
        if len(secrets) < THREAD_FROM:
            return self._wrapped(secrets, places)
        return await asyncio.to_thread(self._wrapped, secrets, places)

    async def unwrap(self, wrapped: Sequence[bytes], places: Sequence[bytes]) -> Sequence[bytes | None]:
        if len(wrapped) < THREAD_FROM:
            return self._unwrapped(wrapped, places)
        return await asyncio.to_thread(self._unwrapped, wrapped, places)

    def _wrapped(self, secrets: Sequence[bytes], places: Sequence[bytes]) -> list[bytes]:
        encrypt = self._cipher.encrypt
        nonces = random_many(NONCE_BYTES, len(secrets))
        return [
            nonce + encrypt(nonce, secret, place)
            for nonce, secret, place in zip(nonces, secrets, places, strict=True)
        ]

    def _unwrapped(self, wrapped: Sequence[bytes], places: Sequence[bytes]) -> list[bytes | None]:
        return [self._opened(box, place) for box, place in zip(wrapped, places, strict=True)]

    def _opened(self, box: bytes, place: bytes) -> bytes | None:
        try:
            return self._cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], place)
        except (InvalidTag, ValueError):
            return None


class FileKekPlace:
    """Implements `infra.kek.KekPlace` with a file, which is always replaced as a whole.

    What is replaced is overwritten first, as far as that goes: a filesystem that copies on write, a snapshot
    or the wear levelling of a disk may keep the old bytes all the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    async def found(self) -> FileKek:
        with self._told():
            if not self._path.exists():
                self._make_first()
            return FileKek(self._read()[-1])

    async def all(self) -> Mapping[str, FileKek]:
        with self._told():
            return _by_id(self._read())

    async def add(self) -> FileKek:
        with self._told():
            secret = secrets.token_bytes(SECRET_BYTES)
            self._replace([*self._read(), secret])
            return FileKek(secret)

    async def destroy(self, kek_id: str) -> None:
        with self._told():
            present = self._read()
            if FileKek(present[-1]).id == kek_id:
                raise KekUnusable(f"the KEK {kek_id} is the newest in {self._path}: it is not destroyed")
            left = [secret for secret in present if FileKek(secret).id != kek_id]
            self._sweep()
            if len(left) < len(present):
                self._replace(left)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise KekUnusable(
                f"the KEK file {self._path} is missing: restore it, nothing opens without it"
            ) from None
        except OSError as error:
            raise KekUnusable(f"the KEK file {self._path} cannot be used: {error.strerror}") from None

    def _read(self) -> list[bytes]:
        """The secrets, oldest first. A file that is replaced meanwhile is read again."""
        for _ in range(READS_MAX):
            with self._path.open("rb") as file:
                opened = os.fstat(file.fileno())
                text = file.read(FILE_BYTES_MAX)
            if stat.S_IMODE(opened.st_mode) & 0o077:
                raise KekUnusable(f"the KEK file {self._path} is open to others: chmod 600 it")
            if found := _parsed(text):
                return found
            if os.path.samestat(opened, self._path.stat()):
                break
        raise KekUnusable(f"the KEK file {self._path} holds no KEK")

    def _make_first(self) -> None:
        """Whole or not at all, and never over an existing file: two processes may start at once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._written([secrets.token_bytes(SECRET_BYTES)], FIRST)
        try:
            os.link(temporary, self._path)
        except FileExistsError:
            return
        finally:
            temporary.unlink()
        _sync_folder(self._path.parent)

    def _replace(self, present: Sequence[bytes]) -> None:
        self._sweep()
        temporary = self._written(present, NEXT)
        with self._path.open("r+b") as old:
            owner = os.fstat(old.fileno())
            os.chown(temporary, owner.st_uid, owner.st_gid)  # root may rotate for the service's user
            temporary.replace(self._path)
            _sync_folder(self._path.parent)
            _overwrite(old.fileno())

    def _written(self, present: Sequence[bytes], prefix: str) -> Path:
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=prefix)  # mode 0600
        with open(descriptor, "w") as file:  # noqa: PTH123 - takes over the descriptor
            file.writelines(f"{HEADER}{b64encode(secret).decode()}\n" for secret in present)
            file.flush()
            os.fsync(file.fileno())
        return Path(name)

    def _sweep(self) -> None:
        """Away with what a killed process has left: it holds KEKs too."""
        for prefix in (FIRST, NEXT):
            for path in self._path.parent.glob(f"{prefix}*"):
                if not path.samefile(self._path):  # killed between the two names of the first file
                    with path.open("r+b") as left:
                        _overwrite(left.fileno())
                path.unlink()


def _parsed(text: bytes) -> list[bytes]:
    """The secrets in the file; none where anything in it is not as it should be."""
    found: list[bytes] = []
    for line in text.splitlines():
        try:
            secret = b64decode(line.removeprefix(HEADER.encode()), validate=True)
        except ValueError:
            return []
        if not line.startswith(HEADER.encode()) or len(secret) != SECRET_BYTES:
            return []
        found.append(secret)
    return found


def _by_id(present: Sequence[bytes]) -> dict[str, FileKek]:
    return {kek.id: kek for kek in map(FileKek, present)}


def _overwrite(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    for filling in (os.urandom(size), bytes(size)):
        os.pwrite(descriptor, filling, 0)
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """A key that wraps others must not be lost to a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
