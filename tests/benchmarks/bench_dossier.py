"""How long the dossier of a person with 100,000 events takes, and how much memory."""

import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from infra.bootstrap import open_system
from infra.dossier.ashtml import as_html
from infra.dossier.asjson import as_json
from infra.dossier.gathering import Asked, Form, open_dossier
from infra.postgres.embedded import EmbeddedPostgres
from infra.settings import Settings
from tests.dossiers import long_life
from tests.e2e.importing import projected

EVENTS: Final = int(os.environ.get("BENCH_DOSSIER_EVENTS", "100000"))


def _resident() -> float:
    """The most memory this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def run(settings: Settings) -> None:
    table = Table(title=f"the dossier of a person with {EVENTS:,} events")
    for heading in ("form", "MiB", "seconds", "until the first byte, ms", "more memory, MiB"):
        table.add_column(heading, justify="right")
    subject_id = uuid7()
    async with open_system(settings) as system:
        await long_life(system, subject_id, EVENTS)
        await projected(system)
        for name, form, write in (
            ("JSON", Form.ACCESS, as_json),
            ("HTML", Form.ACCESS, as_html),
            ("portability", Form.PORTABILITY, as_json),
        ):
            before, began, first, size = _resident(), time.perf_counter(), 0.0, 0
            dossier = await open_dossier(system.dossiers, Asked(uuid7(), subject_id, form))
            async for chunk in write(dossier.sections()):
                first = first or time.perf_counter() - began
                size += len(chunk)
            took = time.perf_counter() - began
            table.add_row(
                name,
                f"{size / 2**20:.1f}",
                f"{took:.1f}",
                f"{first * 1000:.0f}",
                f"{_resident() - before:.0f}",
            )
    Console().print(table)


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        asyncio.run(run(Settings(data=Path(folder), database_url=SecretStr(server.url))))
