"""The file that an auditor takes away and verifies with `infra/audit/verifier.py`: one ZIP.

    manifest.json           {format, namespace, origin, vkey, size, from_index, to_index, record, made_at}
    checkpoint              the signed note that all else is checked against
    earlier/SIZE.note       earlier checkpoints, and SIZE.proof: the consistency proof, a base64 hash a line
    leaves.bin              each leaf's data, its length (4 bytes, big-endian) in front
    tiles/LEVEL             the hashes of the tiles that lead from these leaves to the root, in order
    proofs.jsonl            of one record's events, instead of tiles: {index, proof} for each, as in RFC 6962
    certificates/, exports/ signed notes

Members are stored, not deflated: boxes do not compress, and the verifier reads members where they lie. The
file's comment ends with the SHA-256 of all before it.
"""

import hashlib
import time
import zipfile
from typing import IO, cast

from infra.audit.verifier import SEAL

DIGITS = 2 * hashlib.sha256().digest_size


class _Sink:
    """Where the ZIP is written to: it cannot go back, as a socket cannot."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        """What was written since it was last asked."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class BundleWriter:
    """Makes the file piece by piece: each method answers with the bytes that come next."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(cast("IO[bytes]", self._sink), "w", zipfile.ZIP_STORED)
        self._zip.comment = SEAL + b"0" * DIGITS
        self._hash = hashlib.sha256()
        self._member: IO[bytes] | None = None
        self._made = time.gmtime()[:6]

    def begin(self, name: str) -> bytes:
        """Begin a member, of whatever length, that `write` then fills."""
        self._end()
        self._member = self._zip.open(zipfile.ZipInfo(name, self._made), "w", force_zip64=True)
        return self._taken()

    def write(self, data: bytes) -> bytes:
        """The member goes on."""
        if self._member is None:
            raise ValueError("no member has begun")
        self._member.write(data)
        return self._taken()

    def add(self, name: str, data: bytes) -> bytes:
        """A whole member."""
        return self.begin(name) + self.write(data)

    def finish(self) -> bytes:
        """The end of the file, sealed."""
        self._end()
        self._zip.close()
        rest = self._sink.taken()[:-DIGITS]
        self._hash.update(rest)
        return rest + self._hash.hexdigest().encode()

    def _end(self) -> None:
        if self._member is not None:
            self._member.close()
            self._member = None

    def _taken(self) -> bytes:
        piece = self._sink.taken()
        self._hash.update(piece)
        return piece
