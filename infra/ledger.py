"""The erasure ledger: a file outside the database in which every line holds the hash of the one before.

One JSON object a line, keys in order, ASCII. `hash` is the SHA-256, in hex, of `lethe/ledger/1`, a zero byte
and the line's own JSON without `hash`; `previous` is the hash of the line before. Line 0 names the namespace
and the ledger. A last line without its end was never acknowledged, and the next writer cuts it off.
The ledger holds pseudonyms, categories, grounds and times: nothing about a person.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid4

FORMAT = "lethe/ledger/1"
LINE_BYTES_MAX = 64 * 1024


class LedgerUnfit(Exception):
    """The ledger is missing, broken, another's, or older than the database. One line that says what to do."""


class Kind(StrEnum):
    """What a line says of an erasure; the last one about an erasure counts."""

    ERASED = "erased"
    HELD = "held"
    """A hold was faster than the end of the keys: the line before is taken back."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the ledger: just after the line of this number and hash."""

    number: int
    hash: str
    offset: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was read, its hash checked, and where it ends."""

    fields: Mapping[str, Any]
    end: int

    @property
    def mark(self) -> Mark:
        return Mark(self.fields["number"], self.fields["hash"], self.end)

    @property
    def erasure_id(self) -> UUID:
        return UUID(self.fields["erasure_id"])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a whole ledger found. `fault` names the first bad line; None where all is well."""

    lines: int
    head: str | None
    ledger_id: UUID | None
    namespace: str | None
    fault: str | None
    torn: bool
    """The last line has no end: a crash cut it short before it counted. No fault."""


def hash_of(fields: Mapping[str, Any]) -> str:
    """What a line's `hash` is to be."""
    own = {name: value for name, value in fields.items() if name != "hash"}
    return hashlib.sha256(FORMAT.encode() + b"\0" + _encoded(own)).hexdigest()


def lines(file: IO[bytes], after: Mark | None = None) -> Iterator[Line]:
    """The whole lines after the mark, each checked against the one before. Raises `LedgerUnfit`."""
    number, previous = (after.number, after.hash) if after else (-1, "")
    offset = after.offset if after else 0
    file.seek(offset)
    while (raw := file.readline(LINE_BYTES_MAX)).endswith(b"\n"):
        number += 1
        try:
            fields = json.loads(raw)
            whole = fields["number"] == number and fields["previous"] == previous
            whole = whole and fields["hash"] == hash_of(fields) and _encoded(fields) + b"\n" == raw
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise LedgerUnfit(f"line {number} of the erasure ledger (at byte {offset}) was changed")
        offset += len(raw)
        previous = fields["hash"]
        yield Line(fields, offset)
    if len(raw) == LINE_BYTES_MAX:
        raise LedgerUnfit(f"line {number + 1} of the erasure ledger (at byte {offset}) has no end")


def verify(path: Path) -> Verdict:
    """Check the whole chain."""
    count, head, first, fault, end = 0, None, None, None, 0
    with path.open("rb") as file:
        try:
            for line in lines(file):
                first = first or line.fields
                count, head, end = count + 1, line.fields["hash"], line.end
        except LedgerUnfit as error:
            fault = str(error)
        if first is None and fault is None:
            fault = "the erasure ledger has no first line"
        size = file.seek(0, os.SEEK_END)
    return Verdict(
        lines=count,
        head=head,
        ledger_id=UUID(first["ledger_id"]) if first else None,
        namespace=first["namespace"] if first else None,
        fault=fault,
        torn=fault is None and size > end,
    )


class LedgerFile:
    """The ledger of one place, written by any number of processes. Calls block: they wait for the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()
        self._mark: Mark | None = None
        self._latest: dict[UUID, tuple[Kind, Mark]] = {}

    def begin(self, namespace: str, at: datetime) -> None:
        """Make a new ledger where there is none. Safe in several processes at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        first = {"format": FORMAT, "namespace": namespace, "ledger_id": str(uuid4()), "at": at.isoformat()}
        made = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with made.open("wb") as file:
            file.write(_line(first, None)[0])
            _keep(file)
        made.chmod(0o600)
        try:
            os.link(made, self.path)  # fails where another process was faster
        except FileExistsError:
            pass
        finally:
            made.unlink()
        _keep_folder(self.path.parent)

    def first(self) -> Mapping[str, Any]:
        """The first line. Raises `LedgerUnfit` where there is none."""
        try:
            with self.path.open("rb") as file:
                for line in lines(file):
                    if line.fields.get("format") != FORMAT:
                        break
                    return line.fields
        except FileNotFoundError:
            raise LedgerUnfit(f"the erasure ledger is missing: there is no {self.path}") from None
        raise LedgerUnfit(f"{self.path} is no erasure ledger")

    def go_on_from(self, mark: Mark) -> None:
        """Everything up to the mark is known to the caller: it is not looked at again."""
        with self._turn:
            self._mark = mark
            self._latest = {id: it for id, it in self._latest.items() if it[1].number > mark.number}

    def enter(self, kind: Kind, erasure_id: UUID, fields: Mapping[str, Any]) -> Mark:
        """Append a line, durably. The one there is, where the last about this erasure says the same."""
        with self._turn, self._locked() as file:
            self._read_on(file)
            found = self._latest.get(erasure_id)
            if found is not None and found[0] is kind:
                return found[1]
            raw, digest = _line({"kind": kind, "erasure_id": str(erasure_id), **fields}, self._mark)
            assert self._mark is not None  # noqa: S101 - `_read_on` saw to it
            file.seek(self._mark.offset)
            file.truncate()  # a line that a crash cut short
            file.write(raw)
            _keep(file)
            self._mark = Mark(self._mark.number + 1, digest, self._mark.offset + len(raw))
            self._latest[erasure_id] = kind, self._mark
            return self._mark

    def after(self, mark: Mark | None) -> Iterator[Line]:
        """The lines after the mark, as far as they are written. Raises `LedgerUnfit`."""
        try:
            with self.path.open("rb") as file:
                yield from lines(file, mark)
        except FileNotFoundError:
            raise LedgerUnfit(f"the erasure ledger is missing: there is no {self.path}") from None

    def _read_on(self, file: IO[bytes]) -> None:
        if self._mark is not None and file.seek(0, os.SEEK_END) < self._mark.offset:
            raise LedgerUnfit(f"the erasure ledger {self.path} was cut short")
        for line in lines(file, self._mark):
            if "erasure_id" in line.fields:
                self._latest[line.erasure_id] = Kind(line.fields["kind"]), line.mark
            self._mark = line.mark
        if self._mark is None:
            raise LedgerUnfit(f"{self.path} is no erasure ledger")

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        try:
            with self.path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
        except FileNotFoundError:
            raise LedgerUnfit(f"the erasure ledger is missing: there is no {self.path}") from None


def _line(fields: Mapping[str, Any], after: Mark | None) -> tuple[bytes, str]:
    whole = {
        **fields,
        "number": after.number + 1 if after else 0,
        "previous": after.hash if after else "",
    }
    digest = hash_of(whole)
    return _encoded({**whole, "hash": digest}) + b"\n", digest


def _encoded(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def _keep(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _keep_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
