"""A dossier is sent while it is gathered: however long the life, no more of it is in memory than a page."""

import hashlib
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from infra.bootstrap import System
from infra.dossier.ashtml import as_html
from infra.dossier.asjson import as_json
from infra.dossier.gathering import Asked, Section, open_dossier
from tests.dossiers import long_life
from tests.e2e.importing import projected, system_on

SHORT, LONG = 4_000, 10_000
PEAK_BYTES_MAX = 8 * 2**20
Write = Callable[[AsyncIterator[Section]], AsyncIterator[bytes]]


async def drained(system: System, asked: Asked, write: Write) -> tuple[int, int, bytes]:
    """How many bytes it has, how many were in memory at most, and how it ends."""
    tracemalloc.start()
    try:
        size, end = 0, b""
        async for chunk in write((await open_dossier(system.dossiers, asked)).sections()):
            size += len(chunk)
            end = chunk[-400:]
        return size, tracemalloc.get_traced_memory()[1], end
    finally:
        tracemalloc.stop()


async def test_thousands_of_events_pass_through_a_few_megabytes(database_url: str, tmp_path: Path) -> None:
    async with system_on(database_url, tmp_path) as system:
        people = {count: uuid7() for count in (SHORT, LONG)}
        for count, subject_id in people.items():
            await long_life(system, subject_id, count)
        await projected(system)
        for write, whole in ((as_json, '"events":{}'), (as_html, "{} events")):
            peaks = {}
            for count, subject_id in people.items():
                size, peaks[count], end = await drained(system, Asked(uuid7(), subject_id), write)
                assert whole.format(count) in end.decode()
                print(f"\n{write.__name__}, {count} events: {size / 2**20:.1f} MiB", end="")
                print(f" through {peaks[count] / 2**20:.1f} MiB of memory")
            assert peaks[LONG] < PEAK_BYTES_MAX
            assert peaks[LONG] < 1.5 * peaks[SHORT]


async def test_it_is_the_same_document_however_it_is_cut(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject_id = uuid7()
    async with system_on(database_url, tmp_path) as system:
        await long_life(system, subject_id, 700)
        await projected(system)
        history = []
        for pages in ((5_000, 250), (3, 2), (7, 100)):
            monkeypatch.setattr("infra.dossier.gathering.ENTRIES_PAGE", pages[0])
            monkeypatch.setattr("infra.dossier.gathering.EVENTS_PAGE", pages[1])
            sections = (await open_dossier(system.dossiers, Asked(uuid7(), subject_id))).sections()
            document = json.loads(b"".join([it async for it in as_json(sections)]))
            history.append(hashlib.sha256(json.dumps(document["history"]).encode()).digest())
            assert len(document["history"]) == 700
        assert len(set(history)) == 1
