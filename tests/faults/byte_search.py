"""Looks for words in every byte of folders, processes and archives, however they may be written there."""

import contextlib
import errno
import io
import os
import zipfile
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a word was found, and in which form."""

    place: str
    form: str


def forms(word: str) -> dict[str, bytes]:
    """A lower-case word as bytes: plain, in UTF-16, as hex, and as base64 at each of its three alignments."""
    plain = word.encode()
    found = {
        "plain": plain,
        "utf-16": word.encode("utf-16-le")[:-1],
        "hex": plain.hex().encode(),
        "hex of hex": plain.hex().encode().hex().encode(),
    }
    for shift in range(3):
        # Only the letters that do not depend on what stands before and after.
        coded = b64encode(bytes(shift) + plain)
        found[f"base64+{shift}"] = coded[4 if shift else 0 : (shift + len(plain)) // 3 * 4]
    return found


def search_bytes(data: bytes, words: Iterable[str], place: str) -> Iterator[Hit]:
    """Every form of the words in the data; letters of either case, but for base64."""
    lowered = data.lower()
    for word in words:
        for form, pattern in forms(word).items():
            if pattern in (data if form.startswith("base64") else lowered):
                yield Hit(place, form)


@dataclass(slots=True)
class Search:
    """A search for the same words in many places: what it found, and how much it looked through."""

    words: Collection[str]
    hits: list[Hit] = field(default_factory=list)
    size: int = 0
    """In bytes that were written: the holes in files that were made large beforehand do not count."""

    def data(self, data: bytes, place: str) -> None:
        self.size += len(data)
        self.hits += search_bytes(data, self.words, place)

    def file(self, path: Path) -> None:
        """The file, its name, and the members of a ZIP; one that is gone meanwhile is passed by."""
        self.hits += search_bytes(os.fsencode(path), self.words, f"the name {path}")
        with contextlib.suppress(FileNotFoundError):
            if not path.is_file() or path.is_symlink():
                return
            written = _written(path)
            self.data(written, str(path))
            if written.startswith(ZIP):
                self.archive(written, str(path))

    def archive(self, written: bytes, place: str) -> None:
        """The members of a ZIP, unpacked."""
        with zipfile.ZipFile(io.BytesIO(written)) as archive:
            for name in archive.namelist():
                self.data(archive.read(name), f"{place}!{name}")

    def folder(self, folder: Path, *, but: Collection[Path] = ()) -> None:
        """Every file under the folder, also those that come and go meanwhile, but for some."""
        for path in sorted(folder.rglob("*")):
            if path not in but:
                self.file(path)

    def open_files(self, processes: Iterable[psutil.Process]) -> None:
        """The files that processes hold open without a name any more, such as spilled ones (Linux)."""
        for process in processes:
            folder = Path(f"/proc/{process.pid}/fd")
            with contextlib.suppress(FileNotFoundError, PermissionError):
                for descriptor in folder.iterdir():
                    target = str(descriptor.readlink())
                    if target.startswith("/") and target.endswith("(deleted)") and "/dev/" not in target:
                        with contextlib.suppress(OSError):
                            self.data(descriptor.read_bytes(), target)


def _written(path: Path) -> bytes:
    """What was ever written to the file. Brokers and databases make files large before they fill them."""
    parts = []
    with path.open("rb") as file:
        number, position = file.fileno(), 0
        try:
            while True:
                start = os.lseek(number, position, os.SEEK_DATA)
                position = os.lseek(number, start, os.SEEK_HOLE)
                parts.append(os.pread(number, position - start, start))
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is no data any further
                raise
    return b"\0".join(parts).strip(b"\0")
