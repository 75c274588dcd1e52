"""Looks for a word in every byte of folders and processes, however it may be written there."""

import contextlib
import errno
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil


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


def search_folder(folder: Path, words: Iterable[str], *, but: Iterable[Path] = ()) -> list[Hit]:
    """Every file under the folder, also those that come and go meanwhile, but for some."""
    hits: list[Hit] = []
    for path in sorted(folder.rglob("*")):
        if path in set(but) or path.is_symlink():
            continue
        with contextlib.suppress(FileNotFoundError):
            hits += search_bytes(str(path).encode(), words, f"the name {path}")
            if path.is_file():
                hits += search_bytes(_written(path), words, str(path))
    return hits


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


def search_open_files(processes: Iterable[psutil.Process], words: Iterable[str]) -> list[Hit]:
    """The files that processes hold open without a name any more, such as spilled temporary ones (Linux)."""
    hits: list[Hit] = []
    for process in processes:
        folder = Path(f"/proc/{process.pid}/fd")
        with contextlib.suppress(FileNotFoundError, PermissionError):
            for descriptor in folder.iterdir():
                target = str(descriptor.readlink())
                if target.startswith("/") and target.endswith("(deleted)") and "/dev/" not in target:
                    with contextlib.suppress(OSError):
                        hits += search_bytes(descriptor.read_bytes(), words, target)
    return hits
