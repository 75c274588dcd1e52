"""The dossier as one JSON document, written as it comes: its schema is `dossier.schema.json`."""

from collections.abc import AsyncIterator
from typing import Final

from infra import json
from infra.dossier.gathering import Section

CHUNK_BYTES: Final = 65_536


async def as_json(sections: AsyncIterator[Section]) -> AsyncIterator[bytes]:
    """UTF-8. One that broke off does not parse: what is whole ends with its `end`."""
    written = bytearray(b"{")
    between = b"\n"
    async for section in sections:
        written += between + json.encode(section.name) + b": "
        between = b",\n"
        if section.items is None:
            written += json.encode(section.value)
            continue
        separator = b"[\n"
        async for item in section.items:
            written += separator + json.encode(item)
            separator = b",\n"
            if len(written) >= CHUNK_BYTES:
                yield bytes(written)
                written.clear()
        written += b"[]" if separator == b"[\n" else b"\n]"
    yield bytes(written) + b"\n}\n"
