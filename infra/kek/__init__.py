"""Data keys, and the key-encryption keys (KEKs) that wrap them, kept outside PostgreSQL."""

from infra.kek.file import FileKek, FileKekPlace
from infra.kek.keys import (
    KekPlace,
    KekUnusable,
    KeyEncryptionKey,
    KeyStoreUnfit,
    canary_place,
    data_key_place,
    fingerprint,
    mint,
    mint_many,
    system_key_place,
)
from infra.kek.reference import is_reference, open_keks

__all__ = [
    "FileKek",
    "FileKekPlace",
    "KekPlace",
    "KekUnusable",
    "KeyEncryptionKey",
    "KeyStoreUnfit",
    "canary_place",
    "data_key_place",
    "fingerprint",
    "is_reference",
    "mint",
    "mint_many",
    "open_keks",
    "system_key_place",
]
