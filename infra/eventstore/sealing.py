"""Boxes: the personal fields of one event that share a subject and a category, sealed together.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce in front of the ciphertext. The associated data
binds a box to its place and to its key, so that it opens nowhere else. AES-GCM alone does not commit to its
key; the fingerprint does, and it is compared wherever a key is unwrapped.
"""

import os
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.model import Category
from infra import json
from services.ports import DataKey, Tampered

NONCE_BYTES = 12
TAG_BYTES = 16
FORM = b"lethe/box/1\0"
FIXED = Struct(">12s16sQ16s16s32s")
LENGTHS = Struct(">HHH")


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a box belongs. With the key's fingerprint it is the box's associated data."""

    namespace: str
    originator_id: UUID
    originator_version: int
    topic: str
    event_id: UUID
    subject_id: UUID
    category: Category


def associated_data(place: Place, fingerprint: str) -> bytes:
    """One encoding for each place: fixed widths first, then the texts, whose lengths stand before them."""
    fixed = FIXED.pack(
        FORM,
        place.originator_id.bytes,
        place.originator_version,
        place.event_id.bytes,
        place.subject_id.bytes,
        bytes.fromhex(fingerprint),
    )
    return fixed + _texts(place.namespace, place.topic, place.category)


@lru_cache(maxsize=1024)
def _texts(*texts: str) -> bytes:
    encoded = [text.encode() for text in texts]
    return LENGTHS.pack(*map(len, encoded)) + b"".join(encoded)


def seal(fields: Mapping[str, str], key: DataKey, place: Place) -> str:
    """The box, in base64: nonce and ciphertext of the fields as one JSON object."""
    nonce = os.urandom(NONCE_BYTES)
    plaintext = json.encode(fields)
    sealed = AESGCM(key.secret).encrypt(nonce, plaintext, associated_data(place, key.fingerprint))
    return b2a_base64(nonce + sealed, newline=False).decode()


def open_box(box: str, key: DataKey, place: Place) -> dict[str, str]:
    """The fields in the box. Raises `Tampered` where box, key and place do not belong together."""
    raw = _decoded(box, place)
    try:
        plaintext = AESGCM(key.secret).decrypt(
            raw[:NONCE_BYTES], raw[NONCE_BYTES:], associated_data(place, key.fingerprint)
        )
    except InvalidTag:
        raise _tampered(place) from None
    fields: dict[str, str] = json.decode(plaintext)
    return fields


def _decoded(box: str, place: Place) -> bytes:
    try:
        raw = a2b_base64(box, strict_mode=True)
    except ValueError:
        raise _tampered(place) from None
    # Base64 has spare bits that decoding drops: a box has one spelling, so that no flipped bit goes unseen.
    if len(raw) < NONCE_BYTES + TAG_BYTES or b2a_base64(raw, newline=False) != box.encode():
        raise _tampered(place)
    return raw


def _tampered(place: Place) -> Tampered:
    return Tampered(
        f"the {place.category} box of event {place.event_id} (record {place.originator_id}, "
        f"version {place.originator_version}) does not open in its place"
    )
