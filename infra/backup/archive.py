"""The form of a backup: a tar archive, encrypted for its recipients as age does (age-encryption.org/v1).

Both are streamed, so that memory stays bounded however large the database is. Standard tools read it too:
`age -d -i IDENTITY FILE | tar x`. In it are `header.json`, for each table files of some 4 MiB of PostgreSQL's
binary COPY in order, and at the end `manifest.json`: how many rows each table has, and its SHA-256.
"""

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from pyrage import DecryptError, IdentityError, RecipientError, decrypt_io, encrypt_io
from pyrage.x25519 import Identity, Recipient

FORM = "lethe/backup/1"
CHUNK_BYTES = 4 * 1024 * 1024
HEADER, MANIFEST, TABLES = "header.json", "manifest.json", "tables/"


class BackupUnfit(Exception):
    """The backup cannot be made or used; one line that says why."""


def recipients_of(text: str | None) -> list[Recipient]:
    """The recipients of a setting: public keys of age, with commas between. Raises `BackupUnfit`."""
    if not text:
        raise BackupUnfit(
            "for whom? Name a recipient (age1...) by --recipient or LETHE_BACKUP_RECIPIENT;"
            " `lethe backup keygen FILE` makes a pair"
        )
    try:
        return [Recipient.from_str(it.strip()) for it in text.split(",")]
    except RecipientError:
        raise BackupUnfit("the recipient is no public key of age: it should begin with age1") from None


def identities_in(path: Path) -> list[Identity]:
    """The secret keys in a file as `age-keygen` writes it. Raises `BackupUnfit`; never says what is in it."""
    try:
        lines = [it.strip() for it in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        raise BackupUnfit(f"the identity file {path} cannot be read") from None
    try:
        found = [Identity.from_str(it) for it in lines if it and not it.startswith("#")]
    except IdentityError:  # its text could repeat the key
        raise BackupUnfit(f"{path} holds no secret key of age") from None
    if not found:
        raise BackupUnfit(f"{path} holds no secret key of age")
    return found


def new_identity(path: Path) -> str:
    """Write a new secret key, which nobody else may read; its public key. Raises `BackupUnfit`."""
    identity = Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BackupUnfit(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"# public key: {public}\n{identity}\n")
    return public


class ArchiveWriter:
    """Writes the members of an archive as they come."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.bytes = 0

    def add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        self._tar.addfile(member, io.BytesIO(content))
        self.bytes += len(content)


@contextmanager
def writing(path: Path, recipients: Sequence[Recipient]) -> Iterator[ArchiveWriter]:
    """A new encrypted archive at `path`, on disk when the block ends; removed where the block fails."""
    read_end, write_end = os.pipe()
    with path.open("xb") as file:
        try:
            source, sink = os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb")
            with _aside(lambda: encrypt_io(source, file, list(recipients)), source) as aside:
                with sink, tarfile.open(fileobj=sink, mode="w|") as tar:
                    yield ArchiveWriter(tar)
                aside.join()
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextmanager
def reading(path: Path, identities: Sequence[Identity]) -> Iterator[Iterator[tuple[str, bytes]]]:
    """The members of an archive in order, name and content. Raises `BackupUnfit`, also in the middle."""
    read_end, write_end = os.pipe()
    try:
        file = path.open("rb")
    except OSError as error:
        os.close(read_end)
        os.close(write_end)
        raise BackupUnfit(f"{path}: {error.strerror}") from None
    with file:
        source, sink = os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb")
        with _aside(lambda: decrypt_io(file, sink, list(identities)), sink) as aside, source:
            yield _members(source, aside)


def _members(source: IO[bytes], aside: "_Aside") -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or member.size > 2 * CHUNK_BYTES:
                    raise BackupUnfit(f"the backup has an odd member {member.name!r}")
                yield member.name, content.read()
        while source.read(CHUNK_BYTES):
            pass
    except tarfile.TarError:
        while source.read(CHUNK_BYTES):  # or the other half would wait for ever to be rid of it
            pass
        aside.join()
        raise BackupUnfit("the backup was cut short or changed") from None
    aside.join()


class _Aside:
    """One half of the work in a thread of its own; its failure is raised where it is joined."""

    def __init__(self, work: Callable[[], Any], end: IO[bytes]) -> None:
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work, end), name="backup", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any], end: IO[bytes]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again by `join`
            self._failure = error
        finally:
            try:
                end.close()
            except OSError as error:  # the other end is closed: it has said why
                self._failure = self._failure or error

    def join(self) -> None:
        """Wait for it. Raises what it raised, said in our words."""
        self._thread.join()
        match self._failure:
            case None:
                return
            case DecryptError():
                raise BackupUnfit(
                    "the backup does not open: it is not for this identity, or was changed"
                ) from None
            case failure:
                raise BackupUnfit(
                    f"the backup cannot be read or written: {type(failure).__name__}"
                ) from failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(1.0)


def _aside(work: Callable[[], Any], end: IO[bytes]) -> _Aside:
    return _Aside(work, end)


def digest_of(path: Path) -> tuple[int, str]:
    """A file's size, and its SHA-256 as hex."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
