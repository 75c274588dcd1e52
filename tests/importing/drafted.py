"""Drafting a file in a test, without a database."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from infra.blindindex import HmacBlindIndex
from infra.importing.drafting import Drafting
from infra.importing.drafts import Draft, Names, Rejected
from infra.importing.mapping import Mapping, load_mapping
from infra.importing.rows import read
from services.ports import DataKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BLIND = HmacBlindIndex(DataKey("test", b"k" * 32))


def drafts_of(path: Path, mapping: Mapping | str) -> Iterator[Draft | Rejected]:
    """The drafts of the file, by the mapping or the shipped one of that name."""
    found = load_mapping(mapping) if isinstance(mapping, str) else mapping
    return Drafting(found, Names(BLIND, found.realm), NOW).drafts(read(path, found))


def written(folder: Path, name: str, text: str) -> Path:
    """A file with this text."""
    path = folder / name
    path.write_text(text, "utf-8")
    return path
