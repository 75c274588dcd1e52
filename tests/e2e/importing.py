"""A whole system in a test: composed as in production, on a database of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.bootstrap import System, open_system
from infra.importing.importer import Importer, ImportReport
from infra.importing.known import KnownCommands
from infra.importing.mapping import load_mapping
from infra.projector import LOG, LogSource
from infra.settings import load


@asynccontextmanager
async def system_on(database_url: str, folder: Path) -> AsyncIterator[System]:
    """The system over this database, its KEK in the folder."""
    async with open_system(load(database_url=database_url, data=folder)) as system:
        yield system


async def imported(
    system: System, file: Path, mapping: str, folder: Path, *, dry_run: bool = False
) -> ImportReport:
    """Import the file by a shipped mapping; rejects go to `rejects.ndjson` in the folder."""
    importer = Importer(system.application, system.blind, KnownCommands(system.pool))
    return await importer.run(file, load_mapping(mapping), rejects=folder / "rejects.ndjson", dry_run=dry_run)


async def projected(system: System) -> None:
    """Bring the views up to everything that is in the log now."""
    source = LogSource(system.reader, system.mapper, await system.view_store.tracked(LOG))
    until = await system.reader.horizon()
    while source.after < until and (batch := await source.next(limit=1_000, timeout=0.1)):
        await system.view_store.apply(batch, LOG)
    await source.close()


async def count(system: System, what: str) -> int:
    """How many rows the table has."""
    async with system.pool.connection() as connection:
        query = f"SELECT count(*) FROM {what}"  # noqa: S608 - the test's own words
        row = await (await connection.execute(query.encode())).fetchone()
    return int(row[0]) if row else 0
