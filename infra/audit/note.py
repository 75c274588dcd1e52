"""Signed notes, checkpoints and cosignatures: C2SP's signed-note, tlog-checkpoint and tlog-cosignature.

A note is a text that ends in a newline, an empty line, and a line for each signature. Signatures of unknown
keys are passed over, so that others can add theirs; one that names a known key and is wrong spoils the note.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
COSIGNATURE = b"\x04"
KEY_BYTES = 32
ID_BYTES = 4
TIME_BYTES = 8
SIGNATURE_BYTES = 64
SIGNATURES_MAX = 100
TEXT_BYTES_MAX = 1_000_000
DASH = "\N{EM DASH} "
# Printed characters but `+`; Unicode's spaces are no part of \S.
KEY_NAME = re.compile(r"[^\s+]+")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteUnverified(Exception):
    """The note is not what the key signed, or no note at all. One line, with nothing of the note in it."""


class Signature(NamedTuple):
    """One line below a note's text. `content` is the signature proper, as its kind of key has it."""

    name: str
    key_id: bytes
    content: bytes

    @property
    def line(self) -> str:
        """As it stands in the note, its newline included."""
        return f"{DASH}{self.name} {b64encode(self.key_id + self.content).decode()}\n"


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signatures are checked against: `vkey` is how it is written down and handed on."""

    name: str
    kind: bytes
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Raises `ValueError` for what is no vkey of a note or of a witness."""
        name, _, rest = vkey.partition("+")
        key_id, _, encoded = rest.partition("+")
        material = _decoded(encoded)
        key = cls(name, material[:1], material[1:])
        if not KEY_NAME.fullmatch(name) or len(key.public) != KEY_BYTES:
            raise ValueError("not a verifier key: name+hexadecimal id+base64 of an Ed25519 key")
        if key.kind not in {ED25519, COSIGNATURE}:
            raise ValueError("not a verifier key of a kind that is known here")
        if key_id != key.id.hex():
            raise ValueError("not a verifier key: its id is another key's")
        return key

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:ID_BYTES]

    @property
    def vkey(self) -> str:
        """C2SP's form: name+id+key."""
        return f"{self.name}+{self.id.hex()}+{b64encode(self.kind + self.public).decode()}"

    def signed(self, signature: Signature) -> bool:
        """Whether the signature says that it is this key's."""
        return (signature.name, signature.key_id) == (self.name, self.id)

    def check(self, text: str, signature: Signature) -> None:
        """Raises `NoteUnverified` unless this key signed the text."""
        message, content = text.encode(), signature.content
        if self.kind == COSIGNATURE:
            message = _cosigned(text, cosigned_at(signature))
            content = content[TIME_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(content, message)
        except InvalidSignature:
            raise NoteUnverified("a signature is wrong") from None


class Signer:
    """Signs notes under a name. Belongs with the secret: hand out `vkey` only."""

    def __init__(self, name: str, seed: bytes, *, kind: bytes = ED25519) -> None:
        """`seed` is the 32 bytes of an Ed25519 key."""
        if not KEY_NAME.fullmatch(name):
            raise ValueError("a key's name has no spaces and no plus")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = Key(name, kind, self._key.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The name in each signature line."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """What others verify with."""
        return self.key.vkey

    def sign(self, text: str) -> str:
        """The note: the text with this signature. Raises `ValueError` for what cannot be a note's text."""
        _check_text(text)
        return f"{text}\n{self._signature(self._key.sign(text.encode())).line}"

    def _signature(self, content: bytes) -> Signature:
        return Signature(self.name, self.key.id, content)


class Cosigner(Signer):
    """A witness: signs other people's checkpoints, with the time at which it saw them."""

    def __init__(self, name: str, seed: bytes) -> None:
        super().__init__(name, seed, kind=COSIGNATURE)

    def cosign(self, note: str, *, seconds: int) -> str:
        """The signature line for this note, at a time in seconds since 1970."""
        text, _ = split(note)
        signed = self._key.sign(_cosigned(text, seconds))
        return self._signature(seconds.to_bytes(TIME_BYTES) + signed).line


def split(note: str) -> tuple[str, Sequence[Signature]]:
    """The text and the signatures, none of them checked. Raises `NoteUnverified` for what is no note."""
    if len(note) > TEXT_BYTES_MAX or CONTROL.search(note):
        raise NoteUnverified("not a note: too long, or with control characters")
    text, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise NoteUnverified("not a note: no text with signatures below")
    signatures = [parse_signature(line) for line in lines[:-1].split("\n")]
    if len(signatures) > SIGNATURES_MAX:
        raise NoteUnverified("not a note: too many signatures")
    return text + "\n", signatures


def parse_signature(line: str) -> Signature:
    """One signature line, with its newline or without. Raises `NoteUnverified`."""
    name, _, encoded = line.removesuffix("\n").removeprefix(DASH).partition(" ")
    content = _decoded(encoded)
    if not line.startswith(DASH) or not KEY_NAME.fullmatch(name) or len(content) <= ID_BYTES:
        raise NoteUnverified("not a signature line")
    return Signature(name, content[:ID_BYTES], content[ID_BYTES:])


def cosigned_at(signature: Signature) -> int:
    """When a witness signed, in seconds since 1970. Raises `NoteUnverified`."""
    if len(signature.content) != TIME_BYTES + SIGNATURE_BYTES:
        raise NoteUnverified("not a cosignature")
    return int.from_bytes(signature.content[:TIME_BYTES])


def verify(note: str, vkey: str) -> str:
    """The note's text, where the key signed it. Raises `NoteUnverified`; `ValueError` for a bad vkey."""
    return verify_any(note, [Key.parse(vkey)])[0]


def verify_any(note: str, keys: Sequence[Key]) -> tuple[str, Sequence[Key]]:
    """The note's text, and which of the keys signed it: at least one. Raises `NoteUnverified`."""
    text, signatures = split(note)
    found: list[Key] = []
    for signature in signatures:
        for key in keys:
            if key.signed(signature) and key not in found:
                key.check(text, signature)
                found.append(key)
    if not found:
        raise NoteUnverified("no signature of a known key")
    return text, found


def with_signature(note: str, line: str) -> str:
    """The note with one more signature line, once."""
    text, signatures = split(note)
    more = parse_signature(line)
    kept = [it for it in signatures if (it.name, it.key_id) != (more.name, more.key_id)]
    return text + "\n" + "".join(it.line for it in [*kept, more])


class Checkpoint(NamedTuple):
    """What a log commits to: of which log, over how many leaves, with which root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """As it is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """A verified note's text. Extension lines are passed over. Raises `NoteUnverified`."""
        lines = text.split("\n")
        if len(lines) < 4 or not lines[0] or not SIZE.fullmatch(lines[1]) or "" in lines[3:-1]:
            raise NoteUnverified("not a checkpoint")
        root = _decoded(lines[2])
        if len(root) != hashlib.sha256().digest_size:
            raise NoteUnverified("not a checkpoint: its root is no hash")
        return cls(lines[0], int(lines[1]), root)


def verify_checkpoint(note: str, vkey: str) -> Checkpoint:
    """The checkpoint of the log whose key this is. Raises `NoteUnverified`."""
    checkpoint = Checkpoint.parse(verify(note, vkey))
    if checkpoint.origin != Key.parse(vkey).name:
        raise NoteUnverified("a checkpoint of another log")
    return checkpoint


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _decoded(text: str) -> bytes:
    """Nothing for what is no base64, or could be spelt otherwise: a flipped bit shall not go unseen."""
    try:
        content = b64decode(text, validate=True)
    except ValueError:
        return b""
    return content if b64encode(content).decode() == text else b""


def _check_text(text: str) -> None:
    if not text.endswith("\n") or CONTROL.search(text) or len(text) > TEXT_BYTES_MAX:
        raise ValueError("a note's text ends in a newline and has no control characters")
