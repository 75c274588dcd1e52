"""Signed checkpoints, in the database and in the folder outside, held against the tree. All of it blocks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from infra.audit.folder import CHANGE, LATEST
from infra.audit.note import ID_BYTES, Key, NoteUnverified, Signature
from infra.audit.verifier import Checkpoint, Findings, Tree, split_note

STORED: LiteralString = "SELECT size, root, note, change FROM audit.checkpoints WHERE log = %s ORDER BY size"
SIZES: LiteralString = "SELECT size FROM audit.checkpoints WHERE log = %s"
SIZE_DIGITS = 20


class StoredCheckpoints:
    """One log's, by size."""

    def __init__(
        self, connection: "psycopg.Connection[Any]", log: str, key: Key, witnesses: Sequence[Key], place: str
    ) -> None:
        self.sizes = [it for (it,) in connection.execute(SIZES, [log])]
        self._rows = connection.execute(STORED, [log], binary=True).fetchall()
        self._key, self._witnesses, self._place = key, witnesses, place

    def verify(self, tree: Tree, findings: Findings) -> int:
        """Each is signed, says what its row says, and is of this tree; how many."""
        for size, root, note, _ in self._rows:
            place = f"{self._place} {size}"
            try:
                found = self.read(note)
            except ValueError as error:
                findings.add(place, str(error))
                continue
            if (found.size, found.root) != (size, root):
                findings.add(place, "its row says otherwise than its note")
            elif size > tree.size:
                findings.add(place, f"the tree has {tree.size} leaves only")
            elif tree.root_at(size) != root:
                findings.add(place, f"the first {size} leaves have another root")
        return len(self._rows)

    def verify_folder(self, folder: Path, findings: Findings) -> int:
        """The files are the very checkpoints of the database, as far as they were taken there; how many."""
        place = f"{self._place} folder"
        notes = {f"{size:0{SIZE_DIGITS}d}": (note, change) for size, _, note, change in self._rows}
        try:
            files = {
                it.name: it.read_bytes() for it in sorted(folder.iterdir()) if not it.name.endswith(".new")
            }
        except FileNotFoundError:
            files = {}
        except OSError as error:
            findings.add(place, f"it cannot be read: {error.strerror}")
            return 0
        change = self._change(files.pop(CHANGE, b"0"), place, findings)
        newest = max((it for it in files if it != LATEST), default=None)
        for name, raw in files.items():
            of = newest if name == LATEST else name
            words = self._file(raw, notes[of][0] if of in notes else None)
            if words:
                findings.add(f"{place} {name}", words)
        for name, (_, changed) in notes.items():
            if changed <= change and name not in files:
                findings.add(f"{place} {name}", "missing")
        if files and LATEST not in files:
            findings.add(f"{place} {LATEST}", "missing")
        return len(files)

    def _change(self, raw: bytes, place: str, findings: Findings) -> int:
        try:
            change = int(raw)
        except ValueError:
            change = -1
        if not 0 <= change <= max((it for *_, it in self._rows), default=0):
            findings.add(f"{place} {CHANGE}", "it does not say how far the folder is")
            return 0
        return change

    def _file(self, raw: bytes, note: str | None) -> str:
        """What is wrong with a file; empty where nothing is. Cosignatures may have come since."""
        try:
            self.read(raw.decode())
        except ValueError as error:
            return str(error)
        if note is None:
            return "the database has no checkpoint of this size"
        if raw.decode().rpartition("\n\n")[0] != note.rpartition("\n\n")[0]:
            return "the database has another checkpoint of this size"
        return ""

    def read(self, note: str) -> Checkpoint:
        """The checkpoint, each signature of a known key checked. Raises `ValueError`."""
        text, signatures = split_note(note.encode())
        signed = False
        for name, content in signatures:
            signature = Signature(name, content[:ID_BYTES], content[ID_BYTES:])
            for key in (self._key, *self._witnesses):
                if key.signed(signature):
                    self._check(key, text, signature)
                    signed |= key is self._key
        if not signed:
            raise ValueError("no signature of the log's key")
        checkpoint = Checkpoint.parse(text)
        if checkpoint.origin != self._key.name:
            raise ValueError("a checkpoint of another log")
        return checkpoint

    @staticmethod
    def _check(key: Key, text: str, signature: Signature) -> None:
        try:
            key.check(text, signature)
        except NoteUnverified as error:
            raise ValueError(str(error)) from None
